#!/bin/sh
# Start OpenMX in every folder that has no .scfout yet: sh run_all.sh "mpirun -n 8 openmx"
set -u
command=${1:-openmx}
failed=0
for input in */*.dat; do
    folder=$(dirname "$input")
    name=$(basename "$input" .dat)
    [ -e "$folder/$name.scfout" ] && continue
    echo "$folder"
    if ! (cd "$folder" && $command "$name.dat" >"$name.std" 2>&1 && [ -e "$name.scfout" ]); then
        echo "$folder failed; see $folder/$name.std" >&2
        failed=1
    fi
done
exit $failed
