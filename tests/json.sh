#!/bin/sh
# The checker of JSON lines, checked.
exec python3 "$(dirname "$0")/check_json.py" --self-test
