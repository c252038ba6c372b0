# A thin face for Meson. `make help` lists what there is.
BUILD ?= build
SHELL := /bin/bash
.DEFAULT_GOAL := all

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

run: all ## one node with its data in ./chronik-data
	@$(BUILD)/chronikd

cluster: all ## three nodes with TLS in the background, data in ./chronik-cluster; SHIFT=N adds N to the ports
	@tools/cluster start --build $(BUILD) $(if $(SHIFT),--shift $(SHIFT))

cluster-split: all ## the same with three controllers and three ingest nodes, in ./chronik-cluster-split
	@tools/cluster start --split --build $(BUILD) $(if $(SHIFT),--shift $(SHIFT))

cluster-status: ## how it is
	@for d in chronik-cluster chronik-cluster-split; do [ ! -d $$d ] || tools/cluster status --build $(BUILD) --dir $$d; done

cluster-stop: ## stop it; the data stays
	@for d in chronik-cluster chronik-cluster-split; do [ ! -d $$d ] || tools/cluster stop --build $(BUILD) --dir $$d; done

deps: ## install build dependencies through the system's package manager when they are missing
	@tools/install-deps tools/packages.txt

$(BUILD)/build.ninja: | deps
	@meson setup $(BUILD) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

all: $(BUILD)/build.ninja ## build/chronikd and build/chronik-ctl
	@ninja -C $(BUILD)
	@ln -sf src/chronikd/chronikd $(BUILD)/chronikd
	@ln -sf src/ctl/chronik-ctl $(BUILD)/chronik-ctl

test: all ## unit and protocol tests, and the checks of the tree
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs

S ?= 600
sim: all ## crash and fail simulated disks and whole nodes for S seconds (600) with new seeds
	@SIM_S=$$(( $(S) / 5 )) $(BUILD)/tests/sim/sim-quorum
	@SIM_S=$$(( $(S) / 5 )) $(BUILD)/tests/sim/sim-raft
	@SIM_S=$$(( $(S) / 5 )) $(BUILD)/tests/sim/sim-plog
	@SIM_S=$$(( $(S) * 2 / 5 )) $(BUILD)/tests/sim/sim-cluster

SEEDS ?= 200
FROM ?= 1
NODES ?= mix
sim-cluster: all ## SEEDS (200) runs of NODES (mix: 3, 6 or 8) nodes on simulated machines, under clients and a nemesis, from seed FROM (1)
	@SIM_SEEDS=$(SEEDS) SIM_FROM=$(FROM) SIM_COUNT=1 $(if $(filter mix,$(NODES)),SIM_MIX=1,SIM_NODES=$(NODES)) \
		$(BUILD)/tests/sim/sim-cluster

KILLS ?= 200
kill-loop: all ## SIGKILL the node KILLS (200) times under clients that check every promise; SEED=N does one again
	@CHRONIKD=$(BUILD)/chronikd /usr/bin/python3 tests/fault/kill_loop.py --rounds $(KILLS) $(if $(SEED),--seed $(SEED))

CLIENTS ?= all
test-fault: all ## clusters under faults, as root; SCENARIO="leader-killed ..." (all), SECONDS of faults in each, SEED, CLIENTS=
	@tools/install-deps tools/packages-fault.txt
	@CHRONIKD=$(abspath $(BUILD)/chronikd) /usr/bin/python3 tests/fault/fault.py $(SCENARIO) --clients "$(CLIENTS)" \
		$(if $(filter command,$(origin SECONDS)),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS) \
		|| { s=$$?; [ $$s = 77 ] || exit $$s; }

test-fault-all: all ## test-fault with TLS between the nodes, and with 3 controllers and 5 ingest nodes; two hours
	@$(MAKE) test-fault ARGS="$(ARGS) --tls"
	@$(MAKE) test-fault ARGS="$(ARGS) --tls --layout 3+5"

test-nix: all ## what nixos/ says of machines and clusters, without nixpkgs; packets through its firewall when root
	@tools/install-deps tools/packages-nix.txt
	@meson setup --reconfigure $(BUILD) >/dev/null
	@meson test -C $(BUILD) --suite nix --print-errorlogs

FUZZ_SECONDS ?= 20
fuzz: | deps ## run every fuzz target for FUZZ_SECONDS (20) under the sanitizers, with clang
	@tools/install-deps tools/packages-sanitizers.txt
	@tests/fuzz/run-fuzz $(FUZZ_SECONDS)

demo: all ## over 1,000,000 real records through a real client, with SIGKILLs, and the proof that all is there
	@tools/install-deps tools/packages-demo.txt
	@/usr/bin/python3 tests/demo/demo.py --chronikd $(BUILD)/chronikd

test-clients: all ## real Kafka clients against build/chronikd; QUICK=1 for the main ones only
	@tools/install-deps tools/packages-clients.txt
	@tests/client/run $(if $(QUICK),--quick) --chronikd $(BUILD)/chronikd

test-object: all ## the object store client against real servers that check signatures, and under faults; TESTS="OnMinio ..." for some
	@tools/install-deps tools/packages-object.txt
	@OBJECT_DRIVER=$(abspath $(BUILD)/tests/object/object-driver) /usr/bin/python3 tests/object/run $(TESTS)

conformance: all ## the same requests to Apache Kafka and to chronikd, their answers compared; API="Fetch ..." for some
	@tools/install-deps tools/packages-clients.txt
	@tests/client/run --prepare kafka-tools
	$(if $(API),,@tests/conformance/decisions/decisions.py --jars build/clients/kafka-tools/lib --build $(BUILD))
	@tests/conformance/conformance.py --jars build/clients/kafka-tools/lib --chronikd $(BUILD)/chronikd $(API)

conformance-doc: ## the tables of docs/CONFORMANCE.md from tests/conformance
	@tests/conformance/document.py --write

ROUNDS ?= 3
bench: all ## the limits, and the speed beside Apache Kafka and a bare floor (55 minutes); PARTS="produce ...", ROUNDS, JSON=FILE
	@tools/install-deps tools/packages-bench.txt
	@meson setup --reconfigure $(BUILD) >/dev/null
	@ninja -C $(BUILD) tests/bench/bench-floor tests/bench/bench-rdkafka tests/bench/bench-cluster
	@/usr/bin/python3 tests/bench/bench.py $(PARTS) --build $(BUILD) --rounds $(ROUNDS) --pictures docs/bench \
		$(if $(JSON),--json $(JSON))

bench-limits: all ## measure the promised limits: start, memory, 10,000 connections, 10,000 partitions, 50,000 members of groups
	@/usr/bin/python3 tests/bench/bench.py limits --build $(BUILD) $(if $(JSON),--json $(JSON))

bench-recovery: all ## how long starts take after SIGTERM and SIGKILL, and what they read; CASES="100:10GB" for others
	@/usr/bin/python3 tests/bench/recovery.py --build $(BUILD) $(if $(JSON),--json $(JSON)) $(CASES)
bench-backfill: all ## what a backfill from the disk costs those who read near the tail; as root (control groups)
	@/usr/bin/python3 tests/bench/backfill.py --build $(BUILD)
bench-txn: all ## what a transaction every 100 ms costs a producer, beside one that is only idempotent
	@tools/install-deps tools/packages-clients.txt
	@tests/client/run --prepare kafka-tools
	@/usr/bin/python3 tests/bench/transactional.py --build $(BUILD) --rounds $(ROUNDS)

bench-share: all ## records per second through share groups, beside a plain consumer
	@/usr/bin/python3 tests/bench/share.py --build $(BUILD) --rounds $(ROUNDS)

aarch64: | deps ## cross-build everything for aarch64 in build-aarch64, and run its unit tests and corpora in qemu; SLOW=1 the long ones, too
	@tools/install-deps tools/packages-aarch64.txt
	@tools/aarch64-sysroot build-aarch64/sysroot
	@[ -f build-aarch64/build.ninja ] || meson setup build-aarch64 --cross-file build-aarch64/sysroot/sysroot.ini \
		--cross-file tools/aarch64.ini >build-aarch64/setup.log || { cat build-aarch64/setup.log; exit 1; }
	@ninja -C build-aarch64
	@CRC32C_METHOD=armv8-crc meson test -C build-aarch64 --no-rebuild -t 4 --suite unit --suite corpus \
		$(if $(SLOW),,--no-suite slow) --print-errorlogs

# With clang: that build is the one in which clang's warnings are seen, and what clang-tidy goes by.
build-asan/build.ninja: | deps
	@tools/install-deps tools/packages-sanitizers.txt
	@CC=clang meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false >/dev/null

test-asan: build-asan/build.ninja ## the quick tests under AddressSanitizer and UBSan (clang), in build-asan
	@ninja -C build-asan && meson test -C build-asan --no-rebuild --suite quick --print-errorlogs

test-tsan: ## the quick tests under ThreadSanitizer (clang), in build-tsan
	@tools/install-deps tools/packages-sanitizers.txt
	@[ -d build-tsan ] || CC=clang meson setup build-tsan -Db_sanitize=thread -Db_lundef=false >/dev/null
	@ninja -C build-tsan && meson test -C build-tsan --no-rebuild --suite quick --print-errorlogs

lint: build-asan/build.ninja ## the format, a build with clang (build-asan), and what clang-tidy finds in src
	@tools/install-deps tools/packages-lint.txt
	@git ls-files -co --exclude-standard 'src/*.[ch]' 'tests/*.[ch]' | xargs clang-format --dry-run -Werror
	@ninja -C build-asan
	@git ls-files -co --exclude-standard 'src/*.c' | xargs -P $$(nproc) -n 4 clang-tidy-19 --quiet -p build-asan

fmt: ## rewrite the C files in the project's format
	@git ls-files -co --exclude-standard 'src/*.[ch]' 'tests/*.[ch]' | xargs clang-format -i

docs: $(BUILD)/build.ninja ## make docs/PARAMETERS.md and nixos/parameters.json from the tables of src/conf
	@ninja -C $(BUILD) src/conf/gen-params-doc
	@$(BUILD)/src/conf/gen-params-doc --json >nixos/parameters.json.new && mv nixos/parameters.json.new nixos/parameters.json
	@$(BUILD)/src/conf/gen-params-doc >docs/PARAMETERS.md.new && mv docs/PARAMETERS.md.new docs/PARAMETERS.md

.PHONY: aarch64 all bench bench-backfill bench-limits bench-recovery bench-share bench-txn cluster cluster-split cluster-status cluster-stop conformance conformance-doc demo \
	deps docs fmt fuzz help kill-loop lint run sim sim-cluster test test-asan test-clients test-fault test-fault-all test-nix test-object test-tsan
