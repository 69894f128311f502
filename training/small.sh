#!/bin/sh
# Trains recipes/small.yaml on one GPU within 15 minutes, resumable: training/small.sh [SECONDS]
# Needs the base on the machine (model.base may be a folder) and the data that the recipe names.
# When the time is up, it stops; the next start resumes.
set -eu
limit=${1:-840}
recipe=training/recipes/small.yaml
python=${PYTHON:-python}
ends=$(($(date +%s) + limit))

for stage in collect filter sft merge benchmark calibrate card upload; do
    left=$((ends - $(date +%s)))
    [ "$left" -gt 0 ] || { echo "time is up before $stage: start it again to go on" >&2; exit 75; }
    printf '==> %s, %s s left\n' "$stage" "$left"
    timeout --signal=INT --kill-after=20 "$left" "$python" -m "training.$stage" --recipe "$recipe"
done
