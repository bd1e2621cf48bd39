"""Postfix, Exim, OpenSMTPD and sendmail 8, as Debian packages them, with the defaults of their authors wherever the suite needs nothing else."""

from typing import Final

from conformance.profiles.recipe import MAIL_UID, Recipe

_DEB_VERSION: Final = "sed -n 's/^{package} //p' DEBS"

POSTFIX: Final = Recipe(
    name="postfix",
    packages=("postfix",),
    users=("postfix", "postdrop"),
    spool="/var/spool/postfix",
    version=_DEB_VERSION.format(package="postfix"),
    files={
        "/etc/postfix/main.cf": f"""\
compatibility_level = 3.6
myhostname = @hostname@
mydestination =
alias_maps =
virtual_mailbox_domains = @domain@
virtual_mailbox_maps = inline:{{ alice@@domain@=alice/, bob@@domain@=bob/, postmaster@@domain@=postmaster/ }}
virtual_mailbox_base = @dir@/mail
virtual_uid_maps = static:{MAIL_UID}
virtual_gid_maps = static:{MAIL_UID}
relay_domains = @relay@
mynetworks = @trusted@/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = /dev/stdout
smtpd_tls_security_level = may
smtpd_tls_cert_file = @dir@/server.pem
smtpd_tls_key_file = @dir@/server.pem
smtp_tls_security_level = may
smtp_tls_CAfile = @dir@/ca.pem
# anvil's limits are policy, and the suite is many clients at one address
smtpd_client_connection_count_limit = 0
""",
    },
    setup="""\
awk '/^#/ || /^[ \\t]/ { next } $1 == "smtp" && $2 == "inet" { $1 = "127.0.0.1:@port@" } NF >= 8 { $5 = "n"; print }' \\
    /usr/share/postfix/master.cf.dist | grep -vE '^(maildrop|uucp|ifmail|bsmtp|scalemail-backend|mailman)' >/etc/postfix/master.cf
chown postfix:postfix /var/lib/postfix
chgrp postdrop /usr/sbin/postdrop /usr/sbin/postqueue; chmod g+s /usr/sbin/postdrop /usr/sbin/postqueue
""",
    run="exec postfix start-fg",
    flush="postqueue -f",
    special={"policy": {"retry_s": 300, "give_up_s": 432_000}},
)

EXIM: Final = Recipe(
    name="exim",
    packages=("exim4-base", "exim4-daemon-light"),
    users=("Debian-exim",),
    spool="/var/spool/exim4",
    version=_DEB_VERSION.format(package="exim4-daemon-light"),
    files={
        "/etc/exim4/exim4.conf": """\
primary_hostname = @hostname@
domainlist local_domains = @domain@
domainlist relay_to_domains = @relay@ : *.@relay@
hostlist relay_from_hosts = @trusted@
never_users =
keep_environment =
disable_ipv6 = true
rfc1413_query_timeout = 0s
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
tls_advertise_hosts = *
tls_certificate = @dir@/server.pem
tls_privatekey = @dir@/server.pem
dsn_advertise_hosts = *
smtp_accept_max = 200
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 0
log_file_path = @dir@/exim-%slog

begin acl
acl_rcpt:
  accept domains = +local_domains
         endpass
         verify = recipient
  accept domains = +relay_to_domains
  accept hosts = +relay_from_hosts
  deny message = relay not permitted
acl_data:
  accept

begin routers
dnslookup:
  driver = dnslookup
  domains = ! +local_domains
  transport = remote_smtp
  # the suite's hosts are on loopback addresses
  self = send
  no_more
users:
  driver = accept
  domains = +local_domains
  local_parts = alice : bob : postmaster
  transport = maildir

begin transports
remote_smtp:
  driver = smtp
  allow_localhost
  tls_try_verify_hosts = *
  tls_verify_certificates = @dir@/ca.pem
maildir:
  driver = appendfile
  maildir_format
  directory = @dir@/mail/$local_part_data
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = mailuser
  group = mailuser

begin retry
* * F,2h,15m; G,16h,1h,1.5; F,4d,6h
""",
    },
    setup="""\
chown -R Debian-exim:Debian-exim /var/spool/exim4
touch @dir@/exim-mainlog @dir@/exim-paniclog @dir@/exim-rejectlog; chown Debian-exim @dir@/exim-*log; chmod 755 @dir@
chown root:root /etc/exim4/exim4.conf
mkdir -p /run/exim4; chown Debian-exim /run/exim4; chmod u+s /usr/sbin/exim4
""",
    run="exec /usr/sbin/exim4 -bdf -q15m -oX 127.0.0.1.@port@",
    flush="/usr/sbin/exim4 -qff >/dev/null 2>&1 &",
    special={"policy": {"retry_s": 900, "give_up_s": 345_600, "ignores_itself": True}},
)

OPENSMTPD: Final = Recipe(
    name="opensmtpd",
    packages=("opensmtpd",),
    users=("opensmtpd", "opensmtpq"),
    spool="/var/spool/smtpd",
    version=_DEB_VERSION.format(package="opensmtpd"),
    files={
        "/etc/mail-users": "".join(f"{user} {MAIL_UID}:{MAIL_UID}:@dir@/mail/{user}\n" for user in ("alice", "bob", "postmaster")),
        "/etc/smtpd.conf": """\
pki suite cert "/etc/server.pem"
pki suite key "/etc/server.pem"
table users file:/etc/mail-users
listen on 127.0.0.1 port @port@ tls pki suite hostname @hostname@
action "local" maildir "@dir@/mail/%{user.username}" userbase <users>
action "relay" relay helo @hostname@
match from any for domain "@domain@" action "local"
match from any for domain { "@relay@", "*.@relay@" } action "relay"
match from src @trusted@ for any action "relay"
match from socket for any action "relay"
""",
    },
    setup="""\
cp @dir@/server.pem /etc/server.pem; chmod 600 /etc/server.pem
mkdir -p /var/lib/opensmtpd/empty; chmod 755 /var/lib/opensmtpd /var/lib/opensmtpd/empty; chown root:root /var/lib/opensmtpd/empty
S=/var/spool/smtpd; chmod 711 $S; chown root:root $S
mkdir -p $S/offline; chmod 770 $S/offline; chown root:opensmtpq $S/offline
for d in purge queue corrupt incoming temporary; do mkdir -p $S/$d; chmod 700 $S/$d; chown opensmtpq:root $S/$d; done
chgrp opensmtpq /usr/sbin/smtpctl; chmod g+s /usr/sbin/smtpctl
mkdir -p /run; rm -f /run/smtpd.sock /var/run/smtpd.sock
""",
    run="exec /usr/sbin/smtpd -d -f /etc/smtpd.conf",
    flush="/usr/sbin/smtpctl schedule all",
    special={"policy": {"retry_s": 400, "give_up_s": 345_600}},
)

SENDMAIL: Final = Recipe(
    name="sendmail",
    packages=("sendmail-bin", "sendmail-base", "sendmail-cf", "m4"),
    users=("smmta", "smmsp"),
    spool="/var/spool/mqueue",
    version=_DEB_VERSION.format(package="sendmail-bin"),
    files={
        "/etc/mail/suite.mc": """\
divert(0)dnl
OSTYPE(linux)dnl
define(`QUEUE_DIR', `/var/spool/mqueue')dnl
define(`STATUS_FILE', `/etc/mail/sendmail.st')dnl
define(`confPID_FILE', `/run/sendmail.pid')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch')dnl
define(`confCW_FILE', `/etc/mail/local-host-names')dnl
define(`confCR_FILE', `/etc/mail/relay-domains')dnl
define(`ALIAS_FILE', `/etc/mail/aliases')dnl
define(`confDOMAIN_NAME', `@hostname@')dnl
define(`confTO_IDENT', `0')dnl
define(`confDELIVERY_MODE', `background')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `2000')dnl
define(`confMAX_DAEMON_CHILDREN', `0')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupReadableKeyFile,GroupWritableDirPathSafe,IncludeFileInUnsafeDirPath,ClassFileInUnsafeDirPath,MapInUnsafeDirPath')dnl
define(`confCACERT', `@dir@/ca.pem')dnl
define(`confCACERT_PATH', `/etc/ssl/certs')dnl
define(`confSERVER_CERT', `/etc/mail/server.pem')dnl
define(`confSERVER_KEY', `/etc/mail/server.pem')dnl
define(`LOCAL_MAILER_PATH', `@deliver@')dnl
define(`LOCAL_MAILER_ARGS', `deliver $u')dnl
define(`LOCAL_MAILER_FLAGS', `SPn9')dnl
DAEMON_OPTIONS(`Name=MTA, Family=inet, Addr=127.0.0.1, Port=@port@, Listen=128')dnl
FEATURE(`use_cw_file')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`nouucp', `reject')dnl
MAILER(local)dnl
MAILER(smtp)dnl
""",
        "/etc/mail/service.switch": "hosts\tdns files\naliases\tfiles\n",
        "/etc/mail/local-host-names": "@domain@\n",
        "/etc/mail/relay-domains": "@relay@\n@trusted@\n",
        "/etc/mail/sendmail.st": "",
        "/etc/mail/aliases": "postmaster: alice\n",
    },
    setup="""\
CF=/usr/share/sendmail/cf
m4 -D_CF_DIR_=$CF/ $CF/m4/cf.m4 /etc/mail/suite.mc >/etc/mail/sendmail.cf
cp @dir@/server.pem /etc/mail/server.pem; chmod 600 /etc/mail/server.pem
chmod 755 /etc/mail; chmod 644 /etc/mail/*.st; chmod 700 /var/spool/mqueue; chown -R root:root /etc/mail /var/spool/mqueue
chmod 777 @dir@/mail
/usr/libexec/sendmail/sendmail -C/etc/mail/sendmail.cf -bi >/dev/null
""",
    run="exec /usr/libexec/sendmail/sendmail -C/etc/mail/sendmail.cf -bD -q15m",
    flush="/usr/libexec/sendmail/sendmail -C/etc/mail/sendmail.cf -q >/dev/null 2>&1 &",
    special={"policy": {"retry_s": 900, "give_up_s": 432_000}},
)
