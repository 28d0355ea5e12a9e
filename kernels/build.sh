#!/usr/bin/env bash
# Makes the PTX that the Java engines load. It is checked in, so that a build needs no nvcc: run this after a change to a kernel.
#
#   kernels/build.sh            writes src/main/resources/carousel/engine/cuda/*.ptx
#   kernels/build.sh --check    fails where what is checked in is not what the sources give; ends with 77 where it
#                               cannot tell because another release of nvcc made it
#   kernels/build.sh --report   registers, shared memory and spills of each kernel as it is checked in, as Markdown; fails on a spill
#   kernels/build.sh --into DIR writes the PTX into DIR
#
# NVCC names the compiler, nvcc from the PATH or /usr/local/cuda/bin unless told; ptxas is taken from beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

resources=../src/main/resources/carousel/engine/cuda
# The oldest architecture that CUDA 13 compiles for, unless a file says `PTX for` another. The driver translates for the GPU that it finds.
oldest=compute_75
# nvcc 13 writes version 9.0, which only drivers of CUDA 13 load. The kernels use nothing that is newer than 8.0, and those for clusters
# (compute_90) nothing newer than 8.1, which drivers load from CUDA 12.1 on.
version=8.0
cluster_version=8.1
reported=(sm_80 sm_90)

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$nvcc" ] || fail "there is no nvcc on the PATH or in /usr/local/cuda/bin: install the CUDA toolkit or set NVCC"

architecture_of() {
    local named
    named=$(sed -n 's|^// PTX for \(compute_[0-9]*\).*|\1|p' "$1")
    echo "${named:-$oldest}"
}

version_for() {
    if [ "${1#compute_}" -ge 90 ]; then echo "$cluster_version"; else echo "$version"; fi
}

# build DIR: the PTX of every .cu file
build() {
    mkdir -p "$1"
    local source architecture job
    for source in *.cu; do
        architecture=$(architecture_of "$source")
        # Side by side: they take a few seconds each.
        compile "$source" "$architecture" "$1/${source%.cu}.ptx" &
    done
    for job in $(jobs -p); do
        wait "$job" || fail "nvcc failed"
    done
}

# compile SOURCE ARCHITECTURE PTX
compile() {
    # No --use_fast_math: exp, tanh and divisions are the exact ones.
    "$nvcc" -ptx -arch="$2" -O3 -std=c++17 -o "$3.part" "$1" || return 1
    sed "s/^\.version .*/.version $(version_for "$2")/" "$3.part" > "$3"
    rm "$3.part"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

case ${1:-} in
    '')
        build "$resources"
        ;;
    --into)
        [ -n "${2:-}" ] || fail "--into needs a folder"
        build "$2"
        ;;
    --check)
        made_by=$(sed -n 's/.*compilation tools, \(release .*\)/\1/p' "$resources"/*.ptx | sort -u)
        here=$("$nvcc" --version | sed -n 's/.*compilation tools, \(release .*\)/\1/p')
        if [ "$made_by" != "$here" ]; then
            echo "build.sh: the PTX was made by $made_by but here is $here" >&2
            exit 77
        fi
        build "$scratch"
        for fresh in "$scratch"/*.ptx; do
            cmp -s "$fresh" "$resources/$(basename "$fresh")" \
                || fail "$(basename "$fresh") is not what the sources give: run kernels/build.sh and commit the result"
        done
        for kept in "$resources"/*.ptx; do
            [ -e "$scratch/$(basename "$kept")" ] || fail "$(basename "$kept") has no source"
        done
        ;;
    --report)
        ptxas=$(dirname "$(readlink -f "$nvcc")")/ptxas
        [ -x "$ptxas" ] || ptxas=$(command -v ptxas || echo /usr/local/cuda/bin/ptxas)
        [ -x "$ptxas" ] || fail "there is no ptxas beside $nvcc"
        for target in "${reported[@]}"; do
            for ptx in "$resources"/*.ptx; do
                needed=$(architecture_of "$(basename "${ptx%.ptx}").cu")
                [ "${target#sm_}" -ge "${needed#compute_}" ] || continue
                "$ptxas" -arch="$target" -v -o /dev/null "$ptx" 2>&1
            done | awk -v target="$target" '
                /Compiling entry function/ { split($0, quoted, "\047"); name = quoted[2] }
                /bytes stack frame/ { stack = $1; spills = $5 + $9 }
                /Used [0-9]+ registers/ {
                    shared = 0
                    for (i = 1; i <= NF; i++) {
                        if ($i == "Used") registers = $(i + 1)
                        if ($i == "bytes" && $(i + 1) ~ /^smem/) shared = $(i - 1)
                    }
                    print name, target, registers, shared, stack, spills
                }'
        done | sort | awk '
            BEGIN {
                print "| kernel | for | registers | shared bytes | stack bytes | spilled bytes |"
                print "|---|---|---|---|---|---|"
            }
            { print "| " $1 " | " $2 " | " $3 " | " $4 " | " $5 " | " $6 " |"; spilled += $6; kernels++ }
            END { if (spilled > 0 || kernels == 0) exit 1 }'
        ;;
    *)
        fail "unknown option $1"
        ;;
esac
