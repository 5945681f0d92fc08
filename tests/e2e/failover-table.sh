#!/bin/sh
# Measures every failover anew, and writes the table of docs/failover.md. Six minutes; best on a machine that is idle.
set -eu
cd "$(dirname "$0")/../.."
PXE_SERVE_E2E=required PXE_SERVE_FAILOVER_TABLE=docs/failover.md exec cargo test --locked --test e2e vrrp:: -- --nocapture
