#!/bin/sh
# Runs ABACUS in every folder below this one that has an INPUT and no finished calculation.
# Usage: sh run_all.sh "mpirun -n 8 abacus"
set -u
command=${1:-abacus}
for input in */INPUT; do
    folder=$(dirname "$input")
    if grep -q "Finish Time" "$folder"/OUT.*/running_*.log 2>/dev/null; then
        continue
    fi
    echo "$folder"
    (cd "$folder" && $command > abacus.out 2>&1) || echo "$folder: ABACUS stopped with an error, see $folder/abacus.out" >&2
done
