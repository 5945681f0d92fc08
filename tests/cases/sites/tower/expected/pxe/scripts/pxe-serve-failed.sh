#!/bin/sh
# pxe-serve-failed UNIT: for ExecStopPost= of UNIT. If the unit failed, reports so with its last lines. Always exit 0.
# systemd.exec(5) has the variables.
set -u
[ "${SERVICE_RESULT-success}" != success ] || exit 0

# A line may have 48 KiB (journald.conf(5)), an argument 128; 200 characters of it are reported.
said=$(journalctl --unit "$1" --output cat --lines 10 --no-pager 2>/dev/null | cut -c 1-4000)
/usr/local/bin/pxe-serve-report step_failed "$1: $SERVICE_RESULT (${EXIT_CODE-} ${EXIT_STATUS-})
$said" || true
