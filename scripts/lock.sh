#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make lock`: requirements/*.txt anew from the *.in. All that is pulled in is pinned, for Python 3.10
# to 3.13, with the hashes of all its files on PyPI. Pins that still fit stay; to raise one, change
# the .in or delete its lines in the .txt.
set -e
cd "$(dirname "$0")/../requirements"

tools=../build/lock
[ -x $tools/bin/uv ] || { python3 -m venv $tools && $tools/bin/pip install --quiet uv==0.13.9; }
compile="$tools/bin/uv pip compile --quiet --universal --python-version 3.10 --no-annotate"

# usage: lock NAME [OPTION...]
lock() {
  name=$1
  shift
  echo "requirements/$name.txt"
  $compile --generate-hashes --custom-compile-command "make lock" "$name.in" -o "$name.txt" "$@"
}

cuda=$($compile --no-header torch.in | sed 's/[ =].*//' | grep -E '^(cuda|nvidia|triton)')
leave_out() { for package; do printf -- '--no-emit-package %s ' "$package"; done; }

lock base
for distribution in kilted jazzy; do
  lock "ros-$distribution" -c base.txt
done
# An apt ROS gets these too, and keeps its own NumPy and setuptools.
for name in apt train int8 ray test dev benchmarks; do
  lock "$name" -c base.txt $(leave_out numpy setuptools torch $cuda)
done
lock torch -c base.txt -c train.txt $(leave_out numpy setuptools)
# gpu.in says why without TensorRT.
overrides=$(mktemp)
trap 'rm "$overrides"' EXIT
for package in tensorrt tensorrt-cu13 tensorrt-cu13-bindings tensorrt-cu13-libs; do
  echo "$package; python_version < '3'"
done > "$overrides"
lock gpu -c base.txt -c train.txt --override "$overrides" $(leave_out numpy setuptools torch $cuda)
