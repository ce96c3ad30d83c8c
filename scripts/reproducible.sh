#!/bin/sh
# Builds the present commit twice, as "make build" does, from clones in two directories, and
# compares the programs and their bills of materials byte for byte. The second build has an
# empty build cache, another umask, locale and time zone, and compiles one package at a
# time. Changes that are not committed are not built. The last line is the result as JSON;
# it has the SHA-256 that others must get for this commit with this version of Go and this
# architecture. Takes some minutes, because everything is compiled.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
first=$out/a second=$out/another/directory
commit=$(git rev-parse HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "reproducible: there are changes that are not committed; $commit is built" >&2

for dir in "$first" "$second"; do
	git clone -q --no-checkout . "$dir"
	git -C "$dir" checkout -q --detach "$commit"
done
make -s -C "$first" build
(
	umask 077
	export TZ=Pacific/Kiritimati LC_ALL=C GOCACHE="$out/cache"
	make -s -C "$second" build GOFLAGS="${GOFLAGS:--mod=readonly -trimpath} -p=1"
)
ok=true
for dir in "$first" "$second"; do
	"$dir/bin/td" version --sbom >"$dir/bin/td.cdx.json"
	if LC_ALL=C grep -aqF "$out" "$dir/bin/td"; then
		echo "reproducible: the program holds the path of its directory" >&2
		ok=false
	fi
done
for file in td td.cdx.json; do
	cmp "$first/bin/$file" "$second/bin/$file" >&2 || ok=false
done
sum() { sha256sum "$1" | cut -d ' ' -f 1; }
printf '{"commit":"%s","go":"%s","bytes":%s,"sha256":"%s","sbom_sha256":"%s","ok":%s}\n' "$commit" \
	"$(go env GOVERSION)" "$(stat -c %s "$first/bin/td")" "$(sum "$first/bin/td")" "$(sum "$first/bin/td.cdx.json")" "$ok"
[ "$ok" = true ]
