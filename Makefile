# Lintel. `make help` tells what there is.

SHELL      := /bin/bash
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME   ?= 20000x
GOFLAGS    += -trimpath
LDFLAGS    := -s -w -X main.version=$(VERSION)
# Debian packages that the tests run against.
TEST_PACKAGES  := mosquitto mosquitto-clients openssl avahi-daemon avahi-utils dbus iproute2 python3-zeroconf
# Roots for the bundles of updates.
TEST_PACKAGES  += squashfs-tools
# The race detector is linked with a C compiler.
TEST_PACKAGES  += gcc libc6-dev
# The custom integration for Home Assistant: its tests, types and lint.
TEST_PACKAGES  += python3 python3-prometheus-client python3-aiohttp python3-voluptuous mypy pylint
# Node, unless it is there from elsewhere, for zigbee-herdsman and zigbee2mqtt. Their
# package.json takes an older debounce than they ask for: 3.0.0 needs Node 20, Debian 12 has 18.
TEST_PACKAGES  += $(shell command -v npm >/dev/null || echo nodejs npm)
ORACLE         := serialbridge/zigbee/devices/oracle
WALK           := gateway/dashboard/walk
IMAGE_PACKAGES := qemu-system-arm qemu-system-x86 qemu-efi-aarch64 ovmf mtools e2fsprogs squashfs-tools xz-utils

.DEFAULT_GOAL := help
.PHONY: help build dist run test race fuzz bench bench-short bench-wear profile crash crash-short soak zigbee-soak homeassistant-soak windfront walk vet vuln check sizes hacs image image-test image-crash image-test-long image-update-kill image-reproducible release interop mutate oracle deps deps-image clean

help: ## list the targets
	@awk -F ':.*## ' '/^## / {print "\n" substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Build and run

build: ## build lintel, guard and lintelctl into bin/
	go build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

DIST := linux/amd64 linux/arm64 darwin/arm64 darwin/amd64 windows/amd64

dist: ## lintelctl for Linux, macOS and Windows into out/dist, with manual page, completions and checksums
	rm -rf out/dist && mkdir -p out/dist
	set -e; for target in $(DIST); do \
	  name=out/dist/lintelctl-$${target%/*}-$${target#*/}; [ $${target%/*} != windows ] || name=$$name.exe; \
	  CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build $(GOFLAGS) -buildvcs=false -ldflags '$(LDFLAGS) -buildid=' -o $$name ./cmd/lintelctl; \
	done
	go build $(GOFLAGS) -buildvcs=false -ldflags '$(LDFLAGS) -buildid=' -o bin/lintelctl ./cmd/lintelctl
	bin/lintelctl man >out/dist/lintelctl.1
	for shell in bash zsh fish; do bin/lintelctl completion $$shell >out/dist/lintelctl.$$shell || exit 1; done
	cd out/dist && sha256sum lintelctl* >SHA256SUMS

run: build ## start the gateway with a simulated meter and Zigbee house; data in data/
	bin/lintel serve --data data --simulate

## Test

# Tests mostly wait, for a radio, a restart, a timeout: more of them run at once than there are processors.
test: ## every test that needs neither root nor QEMU; of long matrices, kills and stories a few cases
	go test -short -p 6 -parallel 6 -timeout 20m ./...

race: deps ## all tests, whole, with the race detector, the broker's in its other modes too; none is skipped
	LINTEL_NEED_ALL=1 go test -race -timeout 20m ./...
	LINTEL_TEST_PLAIN=1 LINTEL_TEST_SWAP=1 go test -count=1 -timeout 15m ./gateway/broker

interop: deps ## the tests against programs of others: mosquitto, paho, avahi, zigbee-herdsman
	LINTEL_NEED_ALL=1 go test -count=1 -v -run 'Interop|Avahi' ./gateway/broker ./mdns
	LINTEL_NEED_ALL=1 go test -count=1 -v ./serialbridge/simulator/herdsman

mutate: ## break what keeps promises, one place at a time: a test has to go red for each (20 minutes; ONLY=a name or an area)
	@go run ./gateway/mutate $(if $(ONLY),--only '$(ONLY)')

oracle: ## compare with zigbee2mqtt what Zigbee devices say, with its own converters where Node is there
	go test -count=1 -v -run 'TestOracle' ./serialbridge/zigbee/devices
	go test -count=1 -v -run 'TestZigbeeOracleDocuments' ./gateway/homeassistant
	@if command -v npm >/dev/null; then \
	  mkdir -p out && cd $(ORACLE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && \
	  here=../testdata out=../../../../out documents=../../../../gateway/homeassistant/testdata/zigbee_oracle.jsonl.gz && \
	  node cases.mjs $$out/oracle.jsonl.gz && node cases.mjs $$out/oracle-again.jsonl.gz 424242 && \
	  node documents.mjs $$here/composed.jsonl $$out/oracle.jsonl.gz $$out/zigbee_oracle.jsonl.gz && \
	  same() { cmp <(zcat $$1) <(zcat $$2) && echo "made anew, the same: $${2##*/}" || \
	    { echo "made anew, other than $$2: look, and commit what is right" >&2; return 1; }; } && \
	  same $$out/oracle.jsonl.gz $$here/oracle.jsonl.gz && same $$out/oracle-again.jsonl.gz $$here/oracle-again.jsonl.gz && same $$out/zigbee_oracle.jsonl.gz $$documents; \
	else echo 'npm is not there: the stored expectations were replayed, not made anew'; fi

fuzz: ## each fuzz target for FUZZTIME (20000x: executions; 30s: time)
	@set -e; go list -f '{{if .TestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}{{if .XTestGoFiles}}{{"\n"}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | sort -u | \
	while read -r package dir; do [ -n "$$dir" ] || continue; \
	  for target in $$(cat "$$dir"/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' | sort -u); do \
	    echo "fuzz $$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "$$package" </dev/null; \
	  done; \
	done

## Measure

bench: ## the broker beside mosquitto and mochi-mqtt: tables of medians (20 minutes)
	@packages='mosquitto'; $(install-packages)
	go run ./gateway/broker/bench

bench-short: ## each row once, small, Lintel alone: nothing lost, doubled or out of order
	go run ./gateway/broker/bench --short

bench-wear: ## what a day of a house writes to the card, and what is lost at its end (root, 15 minutes)
	@packages='mosquitto e2fsprogs'; $(install-packages)
	go run ./gateway/broker/bench wear

profile: ## make anew the profile by which the compiler optimises lintel (2 minutes)
	go run ./gateway/broker/bench --profile cmd/lintel/default.pgo

sizes: ## what lintel for arm64 weighs, and what its packages do
	@mkdir -p out && CGO_ENABLED=0 GOARCH=arm64 go build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o out/sizes ./cmd/lintel
	@stat -c 'lintel, stripped: %s bytes' out/sizes
	@CGO_ENABLED=0 GOARCH=arm64 go build $(GOFLAGS) -o out/sizes ./cmd/lintel
	@go tool nm -size out/sizes | awk "$$SIZES" | sort -rn | awk '{all += $$1; line[NR] = $$0} END {for (i = 1; i <= 40; i++) print line[i]; print all, "all that nm tells of"}'
	@rm out/sizes

# A symbol belongs to the package that stands before the first dot behind its last slash. Those of others are
# summed up by module, those of the standard library by folder. What is zero at the start takes no room in the file.
define SIZES
$$3 !~ /[bB]/ && $$4 != "crypto/internal/fips140/drbg.memory" { name = $$4; for (i = 5; i <= NF; i++) name = name " " $$i
  if (name ~ /^(type:|go:|runtime\.(pclntab|types|gcdata))/) name = "(types and strings)"
  else {
    sub(/[[({].*/, "", name)
    match(name, /.*\//); folder = substr(name, 1, RLENGTH); name = substr(name, RLENGTH + 1)
    sub(/\..*/, "", name); name = folder name; n = split(name, part, "/")
    if (part[1] !~ /\./ && part[1] != "lintel") name = part[1]
    else if (n > 3) name = part[1] "/" part[2] "/" part[3]
  }
  bytes[name] += $$2 }
END { for (name in bytes) print bytes[name], name }
endef
export SIZES

## Long tests

crash: ## pull the plug at 312 recorded moments, as root: nothing acknowledged is lost
	@packages='e2fsprogs'; $(install-packages)
	go run ./gateway/broker/crash

crash-short: ## the same at 24 moments; skipped where it cannot run, unless LINTEL_NEED_ALL=1
	@packages='e2fsprogs'; $(install-packages)
	go run ./gateway/broker/crash --short

soak: ## 19 simulated sticks with all faults at once for ten minutes: nothing lost, invented or leaked
	LINTEL_SOAK=10m go test -count=1 -v -timeout 40m -run 'TestSoak$$|TestReplug$$|TestChangeOfProtocol' ./serialbridge/simulator

zigbee-soak: ## 150 simulated Zigbee devices that lose one frame in twenty, for ten minutes
	LINTEL_SOAK=10m go test -count=1 -v -timeout 40m -run 'TestTown$$' ./serialbridge/simulator/zigbeehouse

homeassistant-soak: ## a hundred things that happen to a house with Home Assistant, by chance (10 minutes)
	LINTEL_HOMEASSISTANT_STEPS=$${LINTEL_HOMEASSISTANT_STEPS:-100} go test -count=1 -v -timeout 1h -run 'TestHomeAssistantSoak$$' ./gateway

windfront: deps ## zigbee2mqtt's own front end in Chromium, on a simulated Zigbee house
	@packages='chromium'; $(install-packages)
	LINTEL_CHROMIUM=1 go test -count=1 -v -run 'TestFrontend' ./gateway

walk: deps ## the owner of a new box with a browser, on every page; the pictures are in out/walk
	@packages='chromium'; $(install-packages)
	@$(MAKE) -s --no-print-directory $(WALK)/node_modules/.package-lock.json
	LINTEL_CHROMIUM=1 LINTEL_WALK_OUT=$(CURDIR)/out/walk go test -count=1 -v -timeout 20m -run 'TestWalk' ./gateway

## Check

vet: ## formatting, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go mod verify >/dev/null
	go mod tidy -diff

vuln: ## look for known defects in the dependencies (needs the Go vulnerability database)
	go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

check: vet race walk fuzz bench-short crash-short image-test ## what CI runs

## Image and releases

hacs: ## the custom integration as a repository for HACS, into out/hacs; REPOSITORY=OWNER/NAME
	go run ./gateway/homeassistant/hacs --version '$(VERSION)' --repository '$(REPOSITORY)' --out out/hacs

image: deps-image ## the images for Raspberry Pi and virtual machines into out/; prints their sizes
	gokrazy/build.sh

image-reproducible: deps-image ## build the images of this commit in two folders: they must be equal
	gokrazy/reproducible.sh

release: deps-image ## the compressed image for Raspberry Pi, with Imager's list; URL=https://… is where it will be
	gokrazy/build.sh lintel
	bin/image release --version '$(VERSION)' --epoch "$$(git log -1 --format=%ct)" --url '$(URL)' out/lintel.img

image-crash: image ## kill the image in QEMU under load, ten times, and look what it has kept
	go run ./gokrazy/imagetest --kill 10

image-update-kill: image ## kill it at KILLS=40 random moments of updates; SEED=N does them again
	go run ./gokrazy/imagetest --update-kill $(or $(KILLS),40) $(if $(SEED),--seed $(SEED))

image-test: image ## boot the images in QEMU, plug a meter in, update, pull the plug twice
	go run ./gokrazy/imagetest --seed 1

image-test-long: image ## the same, the image for PCs, and more power cuts during updates
	go run ./gokrazy/imagetest --long

## Set up

deps: ## install the Debian packages that the tests need, as root, and those of Node
	@packages='$(TEST_PACKAGES)'; $(install-packages)
	@$(MAKE) -s --no-print-directory $(ORACLE)/node_modules/.package-lock.json

%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

deps-image:
	@packages='$(IMAGE_PACKAGES) mosquitto-clients'; $(install-packages)

# install-packages installs the Debian packages that are missing, or says which.
define install-packages
missing=; for p in $$packages; do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
  else echo "These Debian packages are needed. Install them and try again: apt-get install$$missing" >&2; exit 1; fi; \
fi
endef

clean: ## remove what the other targets made
	rm -rf bin out data $(ORACLE)/node_modules $(WALK)/node_modules
