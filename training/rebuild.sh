#!/bin/sh
# Runs all stages of a recipe in order: training/rebuild.sh RECIPE [--again]
# A stage that is up to date is skipped, and one that was killed resumes. A recipe without a
# teacher skips the teach stage.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: $0 RECIPE [--again]" >&2
    exit 2
fi
recipe=$1
shift
python=${PYTHON:-python}

stages="collect teach filter sft merge benchmark calibrate card upload"
grep -q '^teach:' "$recipe" || stages=$(echo "$stages" | sed 's/ teach//')

for stage in $stages; do
    printf '==> %s\n' "$stage"
    "$python" -m "training.$stage" --recipe "$recipe" "$@"
done
