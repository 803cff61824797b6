#!/bin/sh
# Builds the images named on the command line, all of them if none is named,
# from the pins in this folder. It needs no root, no loop device and no cross
# compiler.
#
#	gokrazy/build.sh           out/lintel.img, out/lintel-vm-arm64.img, out/lintel-vm-amd64.img
#	gokrazy/build.sh lintel    out/lintel.img alone: the one for a Raspberry Pi
#
# Beside each image out/INSTANCE.squashfs is its root alone, which is what an update
# brings. Variables of the environment tell the programs what they are:
#
#	VERSION      a label (git describe)
#	COUNTER      orders versions, a number (the time of the commit in seconds)
#	UPDATE_KEYS  up to two public keys that sign updates, base64, a comma between (none)
#	UPDATE_FEED  address of the release feed (none)
set -eu

cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- lintel lintel-vm-arm64 lintel-vm-amd64

# need says which package to install for a missing command.
need() {
	command -v "$1" >/dev/null && return
	echo "gokrazy/build.sh: $1 is missing: $2" >&2
	exit 1
}
PATH=$PATH:/usr/sbin:/sbin # mkfs.ext4 is there, also for users without it in PATH
need go "install Go 1.26 or later, https://go.dev/dl"
need mkfs.ext4 "apt-get install e2fsprogs"
need mformat "apt-get install mtools"
need mksquashfs "apt-get install squashfs-tools"

# A power of two: QEMU takes no other size for an SD card.
bytes=2147483648

version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo dev)}
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0) # the time of everything in the image
counter=${COUNTER:-$epoch}

pins() { cat gokrazy/*/builddir/go.* | cksum; }
before=$(pins)

mkdir -p bin out
(cd gokrazy/tools && go build -o ../../bin/gok github.com/gokrazy/tools/cmd/gok)
go build -o bin/image ./gokrazy/image
(cd gokrazy/tools && go run ./roots) >out/roots.pem

for instance; do
	image=out/$instance.img
	given=out/$instance.gok
	log=out/$instance.log
	rm -f "$image" "$given"
	echo "building $image (the first time downloads kernel and firmware: minutes)"
	# gok runs go with -mod=mod, so that whatever module lintel's go.mod
	# gained is added to the builddir's go.mod and go.sum here. What gok
	# says goes to a file: its advice is for images with its own web page.
	# The flags are the same for every program of the image; those without
	# such variables ignore them. The identifier of a build depends on the folder
	# that gok builds init in.
	x="-X main.version=$version -X main.counter=$counter -X main.board=$instance"
	x="$x -X main.updateKeys=${UPDATE_KEYS:-} -X main.updateFeed=${UPDATE_FEED:-}"
	TZ=UTC GOFLAGS="$(go env GOFLAGS) -trimpath '-ldflags=-s -w -buildid= $x'" bin/gok --parent_dir "$PWD/gokrazy" -i "$instance" overwrite \
		--full="$PWD/$given" --target_storage_bytes=$bytes >"$log" 2>&1 || {
		cat "$log" >&2
		exit 1
	}
	bin/image pack --instance "$instance" --epoch "$epoch" --version "$version" \
		--stamp "$(sed -n 's/.*Build timestamp: //p' "$log")" --roots out/roots.pem --from "$given" "$image"
	rm -f "$given"
done
rm -f out/roots.pem

if [ "$(pins)" != "$before" ]; then
	echo "gokrazy/build.sh: module requirements changed: commit gokrazy/*/builddir/go.mod and go.sum" >&2
fi
