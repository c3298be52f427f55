#!/usr/bin/env bash
# A training on several nodes, one worker a node with all of its GPUs:  sbatch tools/slurm.sh --train=... --train-h5=...
# Shard, data sets and --result-dir lie in a folder that all nodes share. A job that is requeued goes on by itself.
#SBATCH --job-name=denoising
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?start this with sbatch, from the checkout}"
port=$((20000 + SLURM_JOB_ID % 20000))
workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/\$/:$port/" | paste -sd,)
# SLURM_PROCID is the number of the node's task: known only inside srun.
exec srun --kill-on-bad-exit=0 bash -c \
  'exec .venv/bin/python tools/launch.py --workers "$0" --task "$SLURM_PROCID" --restarts 10 -- --resume auto "$@"' \
  "$workers" "$@"
