"""SMTP, ESMTP and LMTP as pure protocol: octets in, requests and octets out; no I/O, no clock, no policy."""
