#!/bin/sh
# Runs bin/td under its unit file: a systemd of its own, in namespaces of its own, starts
# the service, which accepts an event, reloads, is found dead by the watchdog (not with
# SHORT=1), starts again and stops. Nothing of this machine is changed. The last line is
# the result as JSON: the grade of the keys, then the score of "systemd-analyze security".
# Needs root, systemd and cgroup2; without systemd it scores nothing.
set -eu
cd "$(dirname "$0")/.."
unit=dist/systemd/terradourada.service
most=11 # the greatest score, in tenths

skip() {
	printf '{"grade":null,"score":null,"skipped":"NOT RUN: %s","ok":true}\n' "$1"
	exit 0
}

# boot becomes the first process of the namespaces. All it writes is in memory.
boot() {
	systemd=$(command -v /usr/lib/systemd/systemd /lib/systemd/systemd | head -n 1)
	mount --make-rprivate /
	mount -t tmpfs tmpfs /run
	mkdir -p /run/dev /run/units/terradourada.service.d /run/generators /run/lock
	mount -t tmpfs -o mode=755 tmpfs /run/dev
	mkdir /run/dev/shm /run/dev/pts
	for dir in etc usr/bin; do
		mkdir -p "/run/over/$dir/upper" "/run/over/$dir/work"
		mount -t overlay -o "lowerdir=/$dir,upperdir=/run/over/$dir/upper,workdir=/run/over/$dir/work" overlay "/$dir"
	done
	mount -t tmpfs tmpfs /var/lib
	cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /run/dev/
	mount -t devpts -o newinstance,ptmxmode=0666 devpts /run/dev/pts
	ln -s pts/ptmx /run/dev/ptmx
	ln -s /proc/self/fd /run/dev/fd
	ln -s null /run/dev/console
	mount --move /run/dev /dev
	umount -R /sys/fs/cgroup
	mount -t cgroup2 none /sys/fs/cgroup
	mount -t proc proc /proc
	install -m 755 bin/td /usr/bin/td
	systemd-sysusers "$PWD"/dist/systemd/terradourada.sysusers
	for name in sysinit basic shutdown umount network; do
		cp "$(dirname "$systemd")/system/$name.target" /run/units/
	done
	cp "$unit" /run/units/
	printf '[Unit]\nDescription=nothing\n' >/run/units/nothing.target
	printf '[Service]\nStandardOutput=append:%s\nStandardError=append:%s\nWatchdogSec=5\nRestartSec=1\n' "$out/log" "$out/log" \
		>/run/units/terradourada.service.d/test.conf
	mount --make-rshared / # as on a machine, so that credentials reach the service
	container=test SYSTEMD_UNIT_PATH=/run/units SYSTEMD_GENERATOR_PATH=/run/generators SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/generators \
		exec "$systemd" --system --unit=nothing.target --log-target=null --show-status=no
}

# inside runs a command in the namespaces.
inside() {
	nsenter -t "$first" -m -p -i -u -n -C -- "$@"
}

fail() {
	echo "unit: $1" >&2
	cat "$out/boot" "$out/log" >&2 2>/dev/null || true
	exit 1
}

# until_ok waits at most a minute for a command to succeed.
until_ok() {
	left=600
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		kill -0 "$job" 2>/dev/null || fail "systemd has ended"
		[ "$left" -gt 0 ] || fail "not within a minute: $*"
		sleep 0.1
	done
}

property() {
	inside systemctl show terradourada -p "$1" --value
}

# listens finds the first process of the namespaces, and waits for it to take orders.
listens() {
	first=$(pgrep -P "$job" | head -n 1)
	[ -n "$first" ] && inside test -S /run/systemd/private
}

restarted() {
	[ "$(property NRestarts)" -ge 1 ] && [ "$(property ActiveState)" = active ]
}

if [ "${1:-}" = boot ]; then
	out=$2
	boot
fi

out=$(mktemp -d) job='' first='' group=''
chmod 755 "$out"
end() {
	[ -z "$first" ] || kill -9 "$first" 2>/dev/null || true
	[ -z "$job" ] || wait "$job" 2>/dev/null || true
	[ -z "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
	rm -rf "$out"
}
trap end EXIT

command -v systemd-analyze >/dev/null || skip "there is no systemd-analyze"
scored=true
systemd-analyze security --offline=true --no-pager --threshold="$most" "$PWD/$unit" >"$out/score" || scored=false
sed -n '/✗/p; /Overall/p' "$out/score"
[ "$scored" = true ] || fail "the score is above $most tenths"
score=$(sed -n 's/.*terradourada.service: \([0-9.]*\).*/\1/p' "$out/score")
[ "$(id -u)" = 0 ] || skip "only root can start a systemd; the score is $score"
group=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
[ -n "$group" ] || skip "there is no cgroup2; the score is $score"
group=$group/td-unit-$$
mkdir "$group"
sh -c 'echo $$ >"$1/cgroup.procs"; exec unshare --cgroup --pid --mount --ipc --uts --net --fork --kill-child "$2" boot "$3"' - "$group" "$PWD/scripts/unit.sh" "$out" >"$out/boot" 2>&1 &
job=$!
until_ok listens

inside systemctl start terradourada || fail "it does not start"
grade=$(sed -n 's/.*msg="epoch active".*signer_grade=\([A-D]\) tagger_grade=\([A-D]\).*/\1\2/p' "$out/log" | head -n 1)
[ "$grade" = AA ] || fail "the grades of signer and tagger are $grade"
uid=$(inside id -u terradourada)
echo '{"lot": 1}' | inside env HOME=/run td submit --server http://127.0.0.1:8080 --server-user "$uid" --claim open/1 --out /run/receipts - || fail "the event is not accepted"
inside env HOME=/run sh -c 'td verify /run/receipts/*.receipt.json >/dev/null' || fail "the receipt is not valid"
inside systemctl reload terradourada || fail "it does not reload"
until_ok grep -q 'SIGHUP: reloaded' "$out/log"
[ "$(property ActiveState)" = active ] || fail "the reload ends it"
echo "status: $(property StatusText)"
if [ -z "${SHORT:-}" ]; then
	inside kill -STOP "$(property MainPID)"
	until_ok restarted
	grep -q SIGABRT "$out/log" || fail "the watchdog has not ended it"

	inside sh -euc 'mkdir -p /etc/terradourada/tls && cd /etc/terradourada/tls
		openssl req -x509 -newkey ed25519 -nodes -subj /CN=localhost -days 1 -keyout key.pem -out cert.pem 2>/dev/null
		chmod 600 key.pem' || fail "no certificate"
	inside cp "$PWD/dist/systemd/tls.conf" /run/units/terradourada.service.d/
	inside systemctl daemon-reload
	inside systemctl restart terradourada || fail "it does not start with credentials"
	until_ok grep -q 'td: ready https:' "$out/log"
	inside systemctl reload terradourada
	until_ok grep -q 'certificate reloaded' "$out/log"
fi
inside systemctl stop terradourada || fail "it does not stop"
[ "$(property Result)" = success ] || fail "the stop: $(property Result)"
printf '{"grade":"A","score":%s,"ok":true}\n' "$score"
