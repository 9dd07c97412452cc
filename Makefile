# metalog.h needs no build: copy the header. This file runs the demo and the tests; everything it makes is in build/.
# GNU make. `make help` lists the targets.

DIR     ?= /usr/include
JOBS    ?= 2
FUZZ    ?= 60
GCC     ?= gcc
GXX     ?= g++
CLANG   ?= clang
CLANGXX ?= clang++
export GCC GXX CLANG CLANGXX

STRICT   := -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror
export STRICT

# A section test runs in every variant that its head comment does not exclude; see tests/part.sh.
SECTIONS := $(patsubst tests/test_%.c,%,$(wildcard tests/test_*.c))
VARIANTS := gcc plain clang asan tsan
OTHERS   := bench compile damage demo examples fail faults json kill labels layers migrate modules readme shim targets tool
# plain: without optimization, where a call is made in one piece; for the sections that are about calls
PLAIN    := alone context drain filter format golden limit printf ring thread
VARIANTS_OF = $(if $(filter $(1),$(PLAIN)),$(VARIANTS),$(filter-out plain,$(VARIANTS)))
PARTS    := $(OTHERS) $(foreach s,$(SECTIONS),$(addprefix $(s).,$(call VARIANTS_OF,$(s))))

.DEFAULT_GOAL := help
.PHONY: help demo metalog bench bench-check bench-record test labels layers mutants compile fail faults fuzz targets trials clean deps $(addprefix part-,$(PARTS) report)

help: ## lists the targets
	@sed -n 's/^\([a-z][a-z%-]*\):[^#]*## */\1|/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo "  parts of the tests: $(SECTIONS) $(OTHERS) report"

demo: ## indexes DIR (default /usr/include) and logs it: colour on the terminal, JSON in build/demo
	@sh tests/deps.sh demo
	@mkdir -p build/demo
	$(GCC) -O2 $(STRICT) -I. examples/indexer.c -o build/indexer -pthread
	build/indexer -o build/demo $(DIR)
	@echo "the five longest lines, asked of the log itself:"
	jq -r 'select(.msg == "file indexed") | "\(.longest)\t\(.path)"' build/demo/app.log | sort -rn | head -n 5

metalog: ## builds build/metalog, which reads logs and rings, and recovers; build/metalog --man | man -l - is its page
	@mkdir -p build
	$(GCC) -O2 $(STRICT) -x c -DMETALOG_TOOL metalog.h -o build/metalog

test: ## installs what the tests need and runs them all; ends with "N passed, N failed"
	@sh tests/deps.sh test
	@rm -rf build/results && mkdir -p build/results
	@MAKEFLAGS= $(MAKE) -s -k -j$(JOBS) $(addprefix part-,$(PARTS)) || true
	@sh tests/part.sh report || true
	@sh tests/summary.sh $(PARTS) report

# The report measures compile times and runs alone, behind the others.
$(addprefix part-,$(PARTS) report): part-%:
	@sh tests/part.sh $* || true

test-%: ## one part of the tests: a section (ring, format, ...) in all variants, or one of those that `make help` lists
	@rm -rf build/results && mkdir -p build/results
	@$(if $(filter $*,$(SECTIONS) $(OTHERS) report),,echo "no such part: $*"; exit 2)
	@MAKEFLAGS= $(MAKE) -s -k -j$(JOBS) $(addprefix part-,$(if $(filter $*,$(SECTIONS)),$(addprefix $*.,$(VARIANTS)),$*)) || true
	@sh tests/summary.sh $(if $(filter $*,$(SECTIONS)),$(addprefix $*.,$(VARIANTS)),$*)

FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

fuzz: $(addprefix fuzz-,$(FUZZERS)) ## random input for every parser with a target in tests/fuzz, FUZZ seconds each (default 60); not part of the tests

fuzz-%: ## one of them: fuzz-printf, fuzz-filter
	@mkdir -p build build/corpus_$*
	$(CLANG) -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_$*.c -o build/fuzz_$* -pthread
	build/fuzz_$* -max_total_time=$(FUZZ) -artifact_prefix=build/ $(patsubst %,-dict=%,$(wildcard tests/fuzz/$*.dict)) \
		$(if $(wildcard tests/fuzz/$*),build/corpus_$* tests/fuzz/$*)

mutants: ## takes memory orders and safeguards away one at a time; a test must notice each (ten minutes; not part of the tests)
	@sh tests/mutants.sh

labels: ## checks that each atomic access has a label, and each label its line in a table
	@sh tests/labels.sh

layers: ## checks which section of metalog.h calls which, and prints the lengths of its functions
	@sh tests/layers.sh

compile: ## compiles the header as C11 to C23 and C++17, C++20, with GCC and Clang
	@sh tests/compile.sh

fail: ## checks that mistakes do not compile, and that the compiler says why
	@sh tests/fail.sh

faults: ## the proofs of tests/faults in full: half an hour (the tests have their short forms)
	@sh tests/deps.sh test
	@sh tests/faults.sh long

targets: ## all section tests on 32-bit x86 and s390x (big-endian, in qemu): minutes; the tests have a few of them where compilers are
	@sh tests/deps.sh targets
	@sh tests/targets.sh all

trials: ## runs cron, atd, sshd, sudo, inetd and dnsmasq of Debian under the preload object (installs them; as root)
	@sh tests/deps.sh trials
	@sh tests/trials.sh

deps: ## installs what the tests need, by package name (Debian)
	@sh tests/deps.sh test

bench: ## measures metalog beside floors and other loggers: table, build/bench.svg, build/bench.tsv (6 minutes; QUICK=1: one)
	@sh tests/deps.sh bench
	@sh bench/run.sh $(if $(QUICK),quick,full)

bench-check bench-record: export ONLY := # all of it, or nothing
bench-check: bench ## the same, then compares with bench/recorded.tsv; fails where a ratio is worse than noise explains
	@python3 bench/report.py check build/bench.tsv bench/recorded.tsv

bench-record: bench ## the same, then writes bench/recorded.tsv, bench/bench.svg and the table of the README
	@python3 bench/report.py record build/bench.tsv

clean: ## removes build/
	rm -rf build
