#!/usr/bin/env bash
# build.sh FOLDER        builds the native tests and the stand-in libraries there
# build.sh FOLDER test   runs the native tests that were built there
# Without a C++ compiler or CMake it says so and does nothing: the tests that need the libraries then report that they are absent.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1

for tool in c++ cmake; do
    command -v "$tool" >/dev/null || {
        echo "native-test: there is no $tool here, so the CUDA engines are not tested on stand-in libraries (Debian: apt-get install g++ cmake libgtest-dev)"
        exit 0
    }
done

# One at a time where several ask for it at once.
mkdir -p "$folder"
if command -v flock >/dev/null; then
    exec 9>"$folder/.${2:-build}.lock"
    flock 9
fi

if [ "${2:-}" = test ]; then
    log=$folder/test.log
    passed=$folder/passed
    if [ -e "$passed" ] && [ -z "$(find "$folder" -type f -newer "$passed" \( -perm -u+x -o -name '*.a' \) -print -quit)" ] \
        && [ -z "$(find "$here" "$here/../kernels" "$here/../src/main/resources" -type f -newer "$passed" -print -quit)" ]; then
        echo "native-test: all tests have passed, and nothing is newer"
        exit
    fi
    rm -f "$passed"
    ctest --test-dir "$folder" --output-on-failure --no-tests=ignore --parallel 2 >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
    if grep 'tests passed' "$log"; then
        touch "$passed"
    else
        echo "native-test: no tests here (Debian: apt-get install libgtest-dev)"
    fi
    exit
fi

log=$folder/build.log
{ cmake -S "$here" -B "$folder" && cmake --build "$folder" --parallel 2; } >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    echo "native-test: the build failed, all of it is in $log" >&2
    exit 1
}
