// Benchmarks of internal/limit beside other libraries, which the server does not
// depend on.
module github.com/terradourada/td/internal/limit/compare

go 1.26.0

require (
	github.com/realclientip/realclientip-go v1.0.0
	github.com/sethvargo/go-limiter v1.1.0
	github.com/terradourada/td v0.0.0
	github.com/throttled/throttled/v2 v2.15.0
	golang.org/x/time v0.14.0
)

require (
	github.com/hashicorp/golang-lru v0.5.4 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)

replace github.com/terradourada/td => ../../..
