# The commands of CI, and benchmarks.

# Everything that must be true of a commit; what needs npm and PyPI is `e2e`
check: fmt clippy test docs features package deny api

# The formatting
fmt:
    cargo fmt --all --check

# The lints
clippy:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# The tests, and every step of the demo
test:
    cargo test --workspace
    cargo test -p mcp-auth --all-features --lib --tests
    cargo run --quiet -- demo --once

# The documentation, without a warning
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# Each feature by itself, and none
features:
    ./tools/features

# Licences and sources of the dependencies
deny:
    cargo deny --all-features check bans licenses sources

# What would be published, built from its packages
package:
    cargo package --workspace

# The public API against docs/public-api.txt; after a change that is meant: tools/public-api --write
api:
    ./tools/public-api

# Real authorization servers and real MCP clients
e2e:
    ./e2e/run

# Every parser of untrusted input, for some seconds each
fuzz seconds="10":
    ./fuzz/run {{seconds}}

# Both benchmarks, with their limits
bench:
    ./bench/run

# What the gateway costs, beside HAProxy and nginx
bench-gateway *arguments:
    ./bench/run_gateway {{arguments}}
