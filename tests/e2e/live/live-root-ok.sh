#!/bin/sh
# A hook of dracut's: without root= it would stop, and a live system has none.
# shellcheck disable=SC2034 # dracut-cmdline reads them
root=live
rootok=1
