#!/bin/sh
# The short forms of the proofs that damage ring files: see faults.sh.
exec sh "$(dirname "$0")/faults.sh" short "hostile flips"
