#!/usr/bin/env bash
# The operator's page in a real headless Chromium, driven over its DevTools protocol, while clients come, call and go:
# .ci/page.py says what is looked at. Its screenshots are kept in $PAGE_SHOTS, by default the run's scratch folder.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need_echo
need_apt chromium fonts-dejavu-core
need_python page websocket-client==1.9.0 prometheus_client==0.26.0
debug=$(free_port)
start_echo --debug-listen "127.0.0.1:$debug" --session-idle 600
mkdir -p "${PAGE_SHOTS:=$CI_TMP}"
HOME=$CI_TMP PYTHONDONTWRITEBYTECODE=1 timeout 300 "$PYTHON" "$ROOT/.ci/page.py" "$(command -v chromium)" "$PORT" "$debug" "$PAGE_SHOTS"
stop_echo
