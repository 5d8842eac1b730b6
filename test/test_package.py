# SPDX-License-Identifier: Apache-2.0
"""The package as pip and CMake installed it: what is tested is what is installed."""

import ast
import os
import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest
import setuptools

import caer_ros
from caer_ros.msg import Emotion, EmotionArray

ROOT = Path(__file__).parents[1]
MODULES = Path(caer_ros.__file__).parent


def relative_files(folder, pattern="*"):
    return {
        path.relative_to(folder)
        for path in folder.rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_modules_installed_are_those_of_the_sources():
    assert MODULES != ROOT / "caer_ros"
    sources = relative_files(ROOT / "caer_ros")
    assert Path("cli.py") in sources
    for path in sources:
        assert (MODULES / path).read_bytes() == (ROOT / "caer_ros" / path).read_bytes(), path
    generated = {path for path in relative_files(MODULES, "*.py") if path.parts[0] != "msg"}
    assert generated == {path for path in sources if path.suffix == ".py"}


@pytest.mark.parametrize("folder", ["config", "examples", "launch", "models"])
def test_what_is_no_module_is_installed_below_share(folder, environment):
    installed = Path(environment) / "share" / "caer_ros" / folder
    files = relative_files(ROOT / folder)
    assert files
    for path in files:
        assert (installed / path).read_bytes() == (ROOT / folder / path).read_bytes(), path


def test_the_ament_index_knows_package_and_messages(environment):
    index = Path(environment) / "share" / "ament_index" / "resource_index"
    assert (index / "packages" / "caer_ros").is_file()
    interfaces = (index / "rosidl_interfaces" / "caer_ros").read_text().split()
    assert {"msg/Emotion.msg", "msg/EmotionArray.msg"} <= set(interfaces)


def test_messages_carry_what_the_fields_say():
    message = EmotionArray(image_width=640, image_height=480)
    message.emotions = [Emotion(person_id="p0001", emotion=Emotion.HAPPY, label="happy")]
    message.emotions[0].probabilities[Emotion.HAPPY] = 0.75
    assert message.emotions[0].probabilities.tolist() == [0, 0, 0, 0.75, 0, 0, 0]


@pytest.mark.parametrize("name", ["caer", "caer_node"])
def test_ros2_run_finds_programs_with_the_interpreter_that_has_ros(name, environment):
    program = Path(environment) / "lib" / "caer_ros" / name
    assert os.access(program, os.X_OK)
    interpreter = Path(program.read_text().splitlines()[0].removeprefix("#!"))
    assert interpreter.parent == Path(sys.executable).parent


def test_pip_and_ros_agree_on_the_version(environment):
    share = Path(environment) / "share" / "caer_ros"
    assert metadata.version("caer_ros") == ElementTree.parse(share / "package.xml").findtext(
        "version"
    )


KEYS = {
    "aiohttp": "python3-aiohttp",
    "cv2": "python3-opencv",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "pytest": "python3-pytest",
    "scipy": "python3-scipy",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
"""rosdep keys of modules that are no ROS packages."""


def imported_modules():
    names = set()
    for path in [*(ROOT / "caer_ros").rglob("*.py"), *(ROOT / "launch").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"caer_ros"}


def test_every_import_is_declared_in_package_xml():
    text = (ROOT / "package.xml").read_text()
    tags = ElementTree.fromstring(text).iter()
    declared = {tag.text for tag in tags if tag.tag in ("depend", "exec_depend")}
    # what rosdep has no key for stands in a comment with the way to install it
    explained = set(re.findall(r"[\w-]+", "".join(re.findall(r"<!--(.*?)-->", text, re.DOTALL))))
    keys = {KEYS.get(name, name) for name in imported_modules()}
    assert {
        key for key in keys if not {key, key.replace("_", "-")} & (declared | explained)
    } == set()


@pytest.mark.parametrize(
    ("options", "prefix", "error"),
    [
        ([], "elsewhere", "has none. In a clone run `make setup`"),
        (["-S"], "", "`pip install --no-build-isolation .`"),
    ],
    ids=["without ROS", "isolated"],
)
def test_a_build_that_cannot_find_ros_says_what_to_do(options, prefix, error, tmp_path):
    site_packages = Path(setuptools.__file__).parents[1]
    for name in ("setuptools", "_distutils_hack"):
        (tmp_path / name).symlink_to(site_packages / name)
    interpreter = sys.executable
    if prefix:
        venv.create(tmp_path / prefix, symlinks=True)
        interpreter = tmp_path / prefix / "bin" / "python"
    outside = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    command = [interpreter, *options, "setup.py", "build_ext", "--build-lib", tmp_path / "lib"]
    built = subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True)
    assert built.returncode == 1
    assert error in built.stderr
    assert "Traceback" not in built.stderr


def with_ros(*prefixes):
    """Return the process environment of a shell that has sourced ROS and these prefixes."""
    sourced = [*prefixes, sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    path = os.pathsep.join(dict.fromkeys(filter(None, sourced)))
    return {**os.environ, "AMENT_PREFIX_PATH": path, "CMAKE_PREFIX_PATH": path}


def test_cpp_code_finds_the_messages(tmp_path, environment):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\n"
        "project(robot LANGUAGES C CXX)\n"
        "find_package(caer_ros REQUIRED)\n"
        "add_executable(robot main.cpp)\n"
        "target_link_libraries(robot caer_ros::caer_ros__rosidl_generator_cpp)\n"
    )
    (tmp_path / "main.cpp").write_text(
        "#include <caer_ros/msg/emotion_array.hpp>\n"
        "int main() {\n"
        "  caer_ros::msg::EmotionArray message;\n"
        "  message.emotions.resize(2);\n"
        "  return message.emotions[0].probabilities.size() + caer_ros::msg::Emotion::SURPRISE;\n"
        "}\n"
    )
    build = tmp_path / "build"
    cmake = with_ros(environment)
    configure = ["cmake", "-S", tmp_path, "-B", build]
    for command in (
        [*configure, f"-DPython3_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", build],
    ):
        result = subprocess.run(command, env=cmake, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    assert subprocess.run([build / "robot"]).returncode == 7 + 6


@pytest.mark.parametrize(
    "options",
    [[], pytest.param(["--symlink-install"], marks=pytest.mark.slow)],
    ids=["copied", "linked"],
)
def test_colcon_builds_and_tests_a_workspace_that_works(options, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "caer_ros").symlink_to(ROOT)
    path = os.pathsep.join([f"{sys.prefix}/bin", os.environ["PATH"]])
    # the suite that colcon runs is this one: of its tests, those of one module
    ros = {**with_ros(), "PATH": path, "MAKEFLAGS": "-j2", "PYTEST_ADDOPTS": "-k test_types"}
    for verb in (["build", *options], ["test", "--return-code-on-test-failure"]):
        colcon = [sys.executable, "-m", "colcon", *verb, "--packages-select", "caer_ros"]
        done = subprocess.run(colcon, cwd=tmp_path, env=ros, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "build" / "caer_ros" / "test_results" / "caer_ros" / "suite.xunit.xml"
    assert len(list(ElementTree.parse(results).iter("testcase"))) > 1
    # as a newcomer does: source the workspace, then use it
    script = (
        ". install/setup.sh && command -v caer && caer --help && python -c '"
        "import ament_index_python as index, caer_ros.cli, caer_ros.msg;"
        'print(index.get_package_share_directory("caer_ros"), caer_ros.msg.EmotionArray());'
        # rosidl installs an empty caer_ros/__init__.py: ours has to come after it
        "print(caer_ros.read.__module__, *dir(caer_ros))'"
    )
    used = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=ros, capture_output=True, text=True
    )
    assert used.returncode == 0, used.stdout + used.stderr
    assert str(tmp_path / "install" / "caer_ros" / "bin" / "caer") in used.stdout
    assert str(tmp_path / "install" / "caer_ros" / "share" / "caer_ros") in used.stdout
    assert used.stdout.splitlines()[-1] == " ".join(["caer_ros.api", *sorted(dir(caer_ros))])
