#!/bin/sh
# The container engine of tests/compose: installed and started where there is none.
#
#   engine.sh start DIRECTORY    leaves one that runs alone; otherwise installs docker.io and
#                                docker-compose (Debian, as root) where they are missing and
#                                starts dockerd, whose pid and output go to DIRECTORY
#   engine.sh stop DIRECTORY     stops the one that `start` started with this DIRECTORY, if any
#
# Promises: a failure is told on standard error, with the end of dockerd's output; an engine that
# somebody else started is never stopped.
set -eu

START_SECONDS_MAX=45
STOP_SECONDS_MAX=20

fail() {
    echo "no container engine: $1" >&2
    exit 1
}

has_compose() {
    command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1
}

install_packages() {
    [ "$(id -u)" -eq 0 ] || fail "docker or docker-compose is missing, and only root can install it"
    command -v apt-get >/dev/null || fail "docker or docker-compose is missing, and there is no apt-get"
    export DEBIAN_FRONTEND=noninteractive
    # Lists that are there may do, and save the time.
    apt-get install -y -q --no-install-recommends "$@" >&2 || {
        apt-get update -q >&2 || fail "apt-get update failed"
        apt-get install -y -q --no-install-recommends "$@" >&2 || fail "apt-get install $* failed"
    }
}

start() {
    missing=
    command -v docker >/dev/null || missing="docker.io"
    # iptables and ca-certificates are only recommended by docker.io, and the first is needed.
    if ! docker info >/dev/null 2>&1 && ! command -v dockerd >/dev/null; then
        missing="docker.io iptables"
    fi
    has_compose || missing="$missing docker-compose"
    # shellcheck disable=SC2086 # a list of packages
    [ -z "$missing" ] || install_packages $missing
    docker info >/dev/null 2>&1 && return
    [ "$(id -u)" -eq 0 ] || fail "none runs, and only root can start one"
    mkdir -p "$1"
    # Of its own session, so that an interrupt of the tests does not stop it under their clean-up.
    setsid dockerd >"$1/dockerd.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$1/dockerd.pid"
    seconds=0
    while ! docker info >/dev/null 2>&1; do
        if ! kill -0 "$pid" 2>/dev/null || [ "$seconds" -ge "$START_SECONDS_MAX" ]; then
            tail -n 20 "$1/dockerd.log" >&2
            stop "$1"
            fail "dockerd did not start in $START_SECONDS_MAX s (its last words are above)"
        fi
        sleep 1
        seconds=$((seconds + 1))
    done
}

stop() {
    [ -f "$1/dockerd.pid" ] || return 0
    pid=$(cat "$1/dockerd.pid")
    rm "$1/dockerd.pid"
    kill "$pid" 2>/dev/null || return 0
    seconds=0
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$seconds" -ge "$STOP_SECONDS_MAX" ]; then
            kill -KILL "$pid" 2>/dev/null || true
            return 0
        fi
        sleep 1
        seconds=$((seconds + 1))
    done
}

[ $# -eq 2 ] || fail "usage: $0 start|stop DIRECTORY"
case $1 in
    start) start "$2" ;;
    stop) stop "$2" ;;
    *) fail "unknown action $1" ;;
esac
