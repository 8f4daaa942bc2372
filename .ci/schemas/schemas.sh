#!/usr/bin/env bash
# Every message that the `conformance` example sends, in exchanges of all five revisions, against the official
# JSON schema of that revision: judge.py judges, peer.py speaks, exchanges.py says what. The schemas are data
# of the specification's repository and are looked for beside this one; $PORTCULLIS_SCHEMAS says where else.
#
#   schemas.sh [REVISION...]
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

schemas=${PORTCULLIS_SCHEMAS:-$ROOT/../shared/schema}
[ -e "$schemas/2026-07-28.json" ] || skip "no schemas in $schemas (PORTCULLIS_SCHEMAS says where they are)"
need_conformance
need_python schemas 'jsonschema==4.26.0'
ECHO=$CONFORMANCE PYTHONDONTWRITEBYTECODE=1 timeout 600 "$PYTHON" "$ROOT/.ci/schemas/exchanges.py" "$schemas" "$@"
