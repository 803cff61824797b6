#!/bin/sh
# Builds the commit that is checked out twice, in two folders, in two time zones and with
# two masks for new files, and compares all that comes of it. Arguments are those of
# build.sh.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=${VERSION:-$(git describe --tags --always)}

git clone -q . "$work/one"
git clone -q . "$work/another/one"
(TZ=UTC VERSION=$version "$work/one/gokrazy/build.sh" "$@")
(umask 027 && TZ=Asia/Kolkata VERSION=$version "$work/another/one/gokrazy/build.sh" "$@" >/dev/null)

status=0
for file in "$work"/one/out/*; do
	case $file in *.log) continue ;; esac
	if cmp "$file" "$work/another/one/out/${file##*/}"; then
		echo "equal: ${file##*/}"
	else
		status=1
	fi
done
exit $status
