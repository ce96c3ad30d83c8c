#!/bin/sh
# Runs bin/td as the container build file would, without a container engine: in a root
# that holds what the file copies, which is read-only but for the volume, by its user, as
# process 1. The server starts, accepts one event and stops. The last line is the result
# as JSON. Needs root.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ] || ! command -v unshare >/dev/null; then
	echo '{"skipped":"NOT RUN: needs root and unshare","ok":true}'
	exit 0
fi

# final prints the arguments of an instruction of the last stage.
final() {
	sed '1,/^FROM scratch/d' dist/container/Containerfile | sed -n "s/^$1 //p"
}

# plain prints a list in JSON as words.
plain() {
	final "$1" | tr -d '[]",'
}

out=$(mktemp -d) job='' server=''
chmod 755 "$out"
fail() {
	echo "container: $1" >&2
	cat "$out/log" >&2 2>/dev/null || true
	exit 1
}
end() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
	[ -z "$job" ] || wait "$job" 2>/dev/null || true
	rm -rf "$out"
}
trap end EXIT

user=$(final USER) root=$out/root volume=$(final VOLUME)
mkdir "$root"
final COPY | while read -r line; do
	# shellcheck disable=SC2086 # words of an instruction
	set -- $line
	owner=0:0
	while [ "${1#--}" != "$1" ]; do
		case $1 in --chown=*) owner=${1#--chown=} ;; esac
		shift
	done
	case $1 in
	/src/*) install -m 755 "${1#/src/}" "$root$2" ;;
	/empty) mkdir -m 700 "$root$2" ;;
	*) fail "COPY $line is not understood" ;;
	esac
	chown "$owner" "$root$2"
done
[ -d "$root$volume" ] || fail "the volume $volume is not in the image"
find "$root" -mindepth 1 -printf '%M %U %s /%P\n'

# An engine adds /proc and /dev, and mounts the volume.
mkdir "$root/proc" "$root/dev" "$out/at"
: >"$out/log"
began=$(date +%s%3N)
# shellcheck disable=SC2016,SC2046 # for the inner shell; words of an instruction
unshare --mount --pid --ipc --uts --fork --kill-child sh -euc '
	root=$1 volume=$2 at=$3 user=$4 program=$5
	shift 5
	mount --bind "$root" "$at"
	mount -o remount,bind,ro "$at"
	mount -t proc proc "$at/proc"
	mount -t tmpfs -o mode=755 tmpfs "$at/dev"
	touch "$at/dev/null"
	mount --bind /dev/null "$at/dev/null"
	mount --bind "$root$volume" "$at$volume"
	exec env -i "$@" "$(command -v chroot)" --userspec="$user" --groups= "$at" $program --listen 127.0.0.1:0
' - "$root" "$volume" "$out/at" "$user" "$(plain ENTRYPOINT) $(plain CMD)" $(final ENV) >"$out/log" 2>&1 &
job=$!
url=''
for _ in $(seq 300); do
	url=$(sed -n 's/^td: ready //p' "$out/log")
	[ -z "$url" ] || break
	kill -0 "$job" 2>/dev/null || fail "it does not start"
	sleep 0.1
done
[ -n "$url" ] || fail "it is not ready within 30 s"
started=$(($(date +%s%3N) - began))
server=$(pgrep -P "$job")
[ "$(awk '/^Uid/ { uid = $2 } /^NSpid/ { pid = $NF } END { print pid, uid }' "/proc/$server/status")" = "1 ${user%:*}" ] ||
	fail "it is not process 1 of user $user"
grade=$(sed -n 's/.*msg="epoch active".*signer_grade=\([A-D]\).*/\1/p' "$out/log")
echo '{"lot": 1}' | HOME=$out ./bin/td submit --server "$url" --server-user "${user%:*}" --claim open/1 --out "$out/receipts" - || fail "the event is not accepted"
HOME=$out ./bin/td verify "$out"/receipts/*.receipt.json >/dev/null || fail "the receipt is not valid"
kill -TERM "$server"
wait "$job" || fail "it does not stop in order"
job='' server=''
printf '{"grade":"%s","bytes":%s,"ready_ms":%s,"accepted":1,"ok":true}\n' "$grade" "$(stat -c %s bin/td)" "$started"
