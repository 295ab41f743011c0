#!/bin/sh
# Starts a node, and something else, as children of its own, which would outlive it.
sleep 1000 >/dev/null 2>&1 &
exec 3<&0 # what runs in the background would read nothing
"$@" <&3 &
wait $!
