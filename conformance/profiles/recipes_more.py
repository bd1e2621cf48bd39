"""Haraka (npm), aiosmtpd (pip), chasquid and courier (Debian)."""

from typing import Final

from conformance.profiles.recipe import Recipe

_DEB_VERSION: Final = "sed -n 's/^{package} //p' DEBS"

AIOSMTPD: Final = Recipe(
    name="aiosmtpd",
    pip=("aiosmtpd",),
    version="ls opt/pip | sed -n 's/^aiosmtpd-\\(.*\\).dist-info/\\1/p'",
    files={
        "/opt/suite/serve.py": '''\
"""aiosmtpd as a server that delivers to Maildirs, and relays nothing."""
import asyncio, mailbox, ssl, sys
sys.path.insert(0, "/opt/pip")
from aiosmtpd.smtp import SMTP

USERS = ("alice", "bob", "postmaster")


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.lower() == "postmaster":
            address = "postmaster@@domain@"
        user, _, domain = address.rpartition("@")
        if domain.lower() != "@domain@":
            return "550 5.7.1 Relaying denied"
        if user.lower() not in USERS:
            return "550 5.1.1 No such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            content = b"Return-Path: <%s>\\r\\n" % envelope.mail_from.strip("<>").encode() + envelope.original_content
            mailbox.Maildir("@dir@/mail/" + address.rpartition("@")[0].lower()).add(content)
        return "250 2.0.0 Ok"


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("@dir@/server.pem")
    factory = lambda: SMTP(Handler(), hostname="@hostname@", enable_SMTPUTF8=True, tls_context=context)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", @port@)
    await server.serve_forever()


asyncio.run(main())
''',
    },
    run="python3 /opt/suite/serve.py & trap 'kill $!; exit 0' TERM; wait $!",
    special={"mail": {"relay_domain": None}, "sources": {"outsider": None}, "dns": {"listen": None}, "policy": {"relays": False}},
)

HARAKA: Final = Recipe(
    name="haraka",
    npm=("Haraka",),
    spool="/opt/suite/queue",
    version="""node -p "require('./opt/npm/node_modules/Haraka/package.json').version" """,
    files={
        "/opt/suite/package.json": '{ "name": "suite", "version": "1.0.0" }\n',
        "/opt/suite/config/smtp.ini": "listen=127.0.0.1:@port@\n",
        "/opt/suite/config/me": "@hostname@\n",
        "/opt/suite/config/host_list": "@domain@\n",
        "/opt/suite/config/plugins": "tls\nsuite\n",
        "/opt/suite/config/tls.ini": "key=server.pem\ncert=server.pem\n",
        "/opt/suite/config/log.ini": "[main]\nlevel=NOTICE\n",
        "/opt/suite/config/outbound.ini": "local_mx_ok=true\nenable_tls=true\n",
        "/opt/suite/plugins/suite.js": """\
'use strict'
const fs = require('fs')
const USERS = ['alice', 'bob', 'postmaster']
exports.hook_connect = function (next, connection) {
  if (connection.remote.ip === '@trusted@') connection.relaying = true
  next()
}
exports.hook_rcpt = function (next, connection, params) {
  const host = params[0].host, user = params[0].user.toLowerCase()
  if (host === '@domain@') return USERS.includes(user) ? next(OK) : next(DENY, 'no such user')
  if (host === '@relay@' || host.endsWith('.@relay@')) { connection.relaying = true; return next(OK) }
  return connection.relaying ? next(OK) : next(DENY, 'relaying denied')
}
exports.hook_queue = function (next, connection) {
  const t = connection.transaction
  const local = t.rcpt_to.filter(r => r.host === '@domain@')
  if (!local.length) return next()
  t.message_stream.get_data(data => {
    for (const r of local) {
      const box = `@dir@/mail/${r.user.toLowerCase()}`, name = `${Date.now()}.${process.pid}.${t.uuid}.${r.user}`
      for (const d of ['tmp', 'new', 'cur']) fs.mkdirSync(`${box}/${d}`, { recursive: true })
      const path = t.mail_from.original.replace(/^<|>$/g, '')
      fs.writeFileSync(`${box}/tmp/${name}`, Buffer.concat([Buffer.from(`Return-Path: <${path}>\\r\\n`), data]))
      fs.renameSync(`${box}/tmp/${name}`, `${box}/new/${name}`)
    }
    if (local.length === t.rcpt_to.length) return next(OK)
    t.rcpt_to = t.rcpt_to.filter(r => r.host !== '@domain@')
    next()
  })
}
exports.hook_queue_outbound = exports.hook_queue
""",
    },
    setup="mkdir -p /opt/suite/queue; cp -an /opt/npm/node_modules/Haraka/config/. /opt/suite/config/; cp @dir@/server.pem /opt/suite/config/server.pem",
    run="exec node /opt/npm/node_modules/Haraka/bin/haraka -c /opt/suite",
    special={"policy": {"retry_s": 64}},
)

CHASQUID: Final = Recipe(
    name="chasquid",
    packages=("chasquid",),
    users=("chasquid",),
    spool="/var/lib/chasquid",
    version=_DEB_VERSION.format(package="chasquid"),
    services=("smtp", "submission"),
    files={
        "/etc/chasquid/chasquid.conf": """\
hostname: "@hostname@"
smtp_address: "127.0.0.1:@port@"
submission_address: "127.0.0.1:@submission@"
mail_delivery_agent_bin: "@deliver@"
mail_delivery_agent_args: "%to_user%"
mail_delivery_agent_args: "%from%"
data_dir: "/var/lib/chasquid"
mail_log_path: "<stderr>"
""",
        "/etc/chasquid/domains/@domain@/aliases": "postmaster: alice\n",
    },
    setup="""\
C=/etc/chasquid/certs/@hostname@; mkdir -p $C; cp @dir@/server.pem $C/fullchain.pem; cp @dir@/server.pem $C/privkey.pem
mkdir -p /etc/chasquid/domains/@domain@
for user in alice bob; do chasquid-util -C=/etc/chasquid user-add $user@@domain@ --password=secret >/dev/null; done
chown -R chasquid:chasquid /etc/chasquid /var/lib/chasquid; chmod 777 @dir@/mail
""",
    run="exec setpriv --reuid=chasquid --regid=chasquid --clear-groups chasquid -config_dir=/etc/chasquid",
    special={
        "mail": {"relay_domain": None},
        "auth": {"user": "alice@local.test", "password": "secret"},
        "submit": {"service": "submission", "tls": True, "auth": True},
    },
)

COURIER: Final = Recipe(
    name="courier",
    packages=("courier-mta", "courier-base", "courier-authlib", "courier-authdaemon"),
    users=("courier",),
    spool="/var/lib/courier",
    version=_DEB_VERSION.format(package="courier-mta"),
    files={
        "/etc/courier/me": "@hostname@\n",
        "/etc/courier/locals": "@domain@\n",
        "/etc/courier/defaultdomain": "@domain@\n",
        "/etc/courier/esmtpacceptmailfor": "@domain@\n@relay@\n.@relay@\n",
        "/etc/courier/smtpaccess/suite": "@trusted@\tallow,RELAYCLIENT\n",
        "/etc/courier/aliases/system": "postmaster: alice\n",
    },
    setup="""\
rm -f /etc/courier/smtpaccess/default
cd /etc/courier
sed -i 's/^PORT=.*/PORT=@port@/; s/^MAXPERC=.*/MAXPERC=200/; s/^MAXPERIP=.*/MAXPERIP=200/; s/^MAXDAEMONS=.*/MAXDAEMONS=200/; s/^TARPIT=.*/TARPIT=0/' esmtpd
sed -i 's/^BOFHCHECKDNS=.*/BOFHCHECKDNS=0/; s/^TCPDOPTS=.*/TCPDOPTS="-noidentlookup -nodnslookup"/; s/^ULIMIT=.*/ULIMIT=unlimited/' esmtpd
echo ADDRESS=127.0.0.1 >>esmtpd
cp @dir@/server.pem esmtpd.pem; chmod 640 esmtpd.pem
sed -i 's/^authmodulelist=.*/authmodulelist="authpam"/' authdaemonrc
chown -R courier:courier /etc/courier /var/lib/courier
for d in msgs msgq tmp filters allfilters track; do mkdir -p /var/lib/courier/$d; done
mkdir -p /run/courier/authdaemon
chown -R courier:courier /run/courier /var/lib/courier
for user in alice bob; do
    mkdir -p @dir@/mail/$user; chown $user:$user @dir@/mail/$user; chmod 755 @dir@/mail/$user
    [ -d @dir@/mail/$user/Maildir ] || setpriv --reuid=$user --regid=$user --clear-groups maildirmake.courier @dir@/mail/$user/Maildir
done
chmod 755 @dir@/mail; chown root @dir@/mail
touch dhparams.pem; ln -sf /usr/lib/courier/makedat /usr/bin/makedat
for make in makesmtpaccess makeacceptmailfor makealiases makehosteddomains makepercentrelay; do /usr/lib/courier/$make || true; done
""",
    run="""\
/usr/sbin/authdaemond start || true
/usr/sbin/courierfilter start || true
/usr/sbin/courier start || true
/usr/lib/courier/esmtpd start || true
trap 'exit 0' TERM
sleep 1000000000 & wait $!
""",
    flush="/usr/sbin/courier flush",
    special={"delivery": {"maildir": "@outer@/mail/%u/Maildir"}},
)
