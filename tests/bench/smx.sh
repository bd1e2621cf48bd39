#!/bin/bash
# smx as one of the peers of a benchmark.  verbs: setup start stop flush queued version clean
#
# The configuration is what `smx init --profile relay` writes, with the sink as next hop.  SMX_CUT_THROUGH=0 turns cut-through off,
# SMX_SED changes more: it is a script of sed for the configuration.
# SMX_BIN is the program, otherwise that of the virtual environment beside this file.
#
# RUN         scratch directory of this run (made by the driver)
# PORT        smx listens on 127.0.0.1:$PORT
# SINK_PORT   smx relays all mail to 127.0.0.1:$SINK_PORT
# HOLD        1: accept and queue durably, but do not deliver: no SMTPC runs.  (2: nothing is configured for it.  The driver starts no
#             sink then, so smx finds its destination dead, and moves each message into the deferred queue, which is more work)
set -eu
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${RUN:?}" "${PORT:=2525}" "${SINK_PORT:=2526}" "${HOLD:=0}"
SMX=${SMX_BIN:-$HERE/../../.venv/bin/smx}
CONFIG=$RUN/smx/smx.conf
# Compiled modules are kept, as they are for every installed package, but outside of the source tree.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=${PEERS_HOME:-${TMPDIR:-/tmp}}/smx-pycache
case $1 in
setup)
    "$SMX" init "$RUN/smx" --profile relay --next-hop "[127.0.0.1]:$SINK_PORT" --port "$PORT" >/dev/null
    if [ -n "${SMX_CUT_THROUGH:-}" ]; then sed -i "s/# cut_through = 1s;/cut_through = $SMX_CUT_THROUGH;/" "$CONFIG"; fi
    if [ "$HOLD" = 1 ]; then sed -i '/^smtpc/,/^}/s/# processes = 1;/processes = 0;/' "$CONFIG"; fi
    if [ -n "${SMX_SED:-}" ]; then sed -i "$SMX_SED" "$CONFIG"; fi ;;
start) setsid "$SMX" run --config "$CONFIG" >>"$RUN/start.log" 2>&1 </dev/null & echo $! >"$RUN/smx.pid" ;;
stop)
    kill -TERM "$(cat "$RUN/smx.pid")"
    for _ in $(seq 150); do kill -0 "$(cat "$RUN/smx.pid")" 2>/dev/null || exit 0; sleep 0.1; done
    exit 1 ;;
flush) "$SMX" queue retry --all --config "$CONFIG" >/dev/null || [ $? = 1 ] ;;
queued) "$SMX" queue ls --config "$CONFIG" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))' ;;
version) "$SMX" --version ;;
clean) ;;
*) echo "usage: $0 setup|start|stop|flush|queued|version" >&2; exit 2 ;;
esac
