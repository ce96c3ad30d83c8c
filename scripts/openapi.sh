#!/bin/sh
# Lints docs/openapi.json by the recommended rules of two public linters: no finding is
# allowed, warnings and hints included. Their versions are pinned in tools/openapi. Without
# npm the description is not linted, which is an error in CI.
set -eu
cd "$(dirname "$0")/../tools/openapi"
if ! command -v npm >/dev/null; then
	echo "docs/openapi.json was NOT LINTED: npm is not installed"
	[ "${CI:-}" != true ]
	exit
fi
if ! cmp -s package-lock.json node_modules/.installed; then
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	cp package-lock.json node_modules/.installed
fi
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
node_modules/.bin/spectral lint --ruleset spectral.yaml --fail-severity=hint ../../docs/openapi.json
node_modules/.bin/redocly lint --config redocly.yaml --format=stylish ../../docs/openapi.json
