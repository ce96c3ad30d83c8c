#!/bin/sh
# Lints docs/openapi.json by the recommended rules of two public linters: no finding is
# allowed, warnings and hints included. tools/openapi pins their versions; they are
# installed to bin/openapi. Without npm nothing is linted, which is an error in CI.
set -eu
cd "$(dirname "$0")/.."
if ! command -v npm >/dev/null; then
	echo "docs/openapi.json was NOT LINTED: npm is not installed"
	[ "${CI:-}" != true ]
	exit
fi
at=bin/openapi
if ! cmp -s tools/openapi/package-lock.json $at/node_modules/.installed; then
	mkdir -p $at
	cp tools/openapi/package.json tools/openapi/package-lock.json $at/
	npm ci --prefix $at --ignore-scripts --no-audit --no-fund --loglevel=error
	cp tools/openapi/package-lock.json $at/node_modules/.installed
fi
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
$at/node_modules/.bin/spectral lint --ruleset tools/openapi/spectral.yaml --fail-severity=hint docs/openapi.json
$at/node_modules/.bin/redocly lint --config tools/openapi/redocly.yaml --format=stylish docs/openapi.json
