#!/usr/bin/env bash
# kcat against a broker: see README.md above for the steps. kcat has no administration, so the topic comes by
# auto-creation (the broker is set to six partitions) and stays.
set -uo pipefail

bootstrap=${1:?usage: client.sh BOOTSTRAP NAME}
topic=${2:?usage: client.sh BOOTSTRAP NAME}
group=$topic-group
partitions=6
codecs=(none gzip snappy lz4 zstd)
per_codec=120
step_limit_s=30
failed=0

dir=$(mktemp -d)
members=()
cleanup() {
  ((${#members[@]})) && kill -KILL "${members[@]}" 2>/dev/null
  rm -rf "$dir"
}
trap cleanup EXIT

# step NAME FUNCTION [ARG...]: one line of the result; the function runs with `set -e` and says why on stderr.
step() {
  local name=$1
  shift
  (
    set -e
    "$@"
  ) 2>"$dir/reason"
  if (($? == 0)); then
    echo "ok $name"
  else
    echo "FAIL $name: $(tail -n 3 "$dir/reason" | tr '\n' ' ')"
    failed=1
  fi
}

fail() {
  echo "$*" >&2
  exit 1
}

# within CONDITION...: polls until the condition holds, at most step_limit_s.
within() {
  local until=$((SECONDS + step_limit_s))
  until "$@"; do
    ((SECONDS < until)) || fail "not within $step_limit_s s: $*"
    sleep 0.1
  done
}

kc() {
  timeout -k 2 "$step_limit_s" kcat -b "$bootstrap" "$@"
}

# make_records FROM COUNT: lines `key TAB value`; the value begins with a number that rises over the whole run.
make_records() {
  awk -v from="$1" -v count="$2" 'BEGIN {
    srand(from)
    for (i = from; i < from + count; i++) {
      value = sprintf("%08d ", i)
      while (length(value) < 60 + i % 400) value = value sprintf("%c", 33 + int(rand() * 94))
      printf "key-%d\t%s\n", i % 37, value
    }
  }'
}

# produce CODEC FROM COUNT: idempotent, keyed, two headers of one name; what was sent is kept in sent.
produce() {
  make_records "$2" "$3" >"$dir/batch"
  kc -P -q -t "$topic" -K '\t' -z "$1" -H "codec=$1" -H dup=1 -H dup=2 \
    -X enable.idempotence=true -X partitioner=murmur2 -l "$dir/batch"
  awk -v codec="$1" '{ print $0 "\tcodec=" codec ",dup=1,dup=2" }' "$dir/batch" >>"$dir/sent"
}

describe() {
  kc -L -t "$topic" >"$dir/metadata"
  grep -q "topic \"$topic\" with $partitions partitions" "$dir/metadata" || fail "$(cat "$dir/metadata")"
  local led
  led=$(grep -cE 'partition [0-9]+, leader [0-9]+,' "$dir/metadata")
  ((led == partitions)) || fail "$led of $partitions partitions have a leader"
}

# Everything in the topic as `partition TAB offset TAB timestamp TAB key TAB value TAB headers`, in order.
dump() {
  kc -C -q -e -t "$topic" -o beginning -X check.crcs=true -f '%p\t%o\t%T\t%k\t%s\t%h\n' |
    sort -t $'\t' -k1,1n -k2,2n >"$dir/dump"
}

read_back() {
  dump
  cut -f 4- "$dir/dump" | sort >"$dir/got"
  sort "$dir/sent" | cmp - "$dir/got" || fail "what came back is not what was sent"
  awk -F '\t' '
    $1 != partition { partition = $1; next_offset = 0; last = -1 }
    $2 != next_offset { print "partition " $1 ": offset " $2 " where " next_offset " is next" > "/dev/stderr"; exit 1 }
    { number = substr($5, 1, 8) + 0; next_offset++ }
    number <= last { print "partition " $1 ": record " number " after " last > "/dev/stderr"; exit 1 }
    { last = number }
    ($4 in home) && home[$4] != $1 { print "key " $4 " is in two partitions" > "/dev/stderr"; exit 1 }
    { home[$4] = $1 }' "$dir/dump"
  local used
  used=$(cut -f 1 "$dir/dump" | sort -u | wc -l)
  ((used == partitions)) || fail "only $used partitions hold records"
}

# The rest is produced before this: a value that no line could carry.
binary() {
  head -c 300000 /dev/urandom >"$dir/binary"
  kc -P -q -t "$topic-binary" -p 3 -z lz4 -k binary "$dir/binary"
  kc -C -q -e -t "$topic-binary" -p 3 -o beginning -c 1 -f %s >"$dir/binary.got"
  cmp "$dir/binary" "$dir/binary.got"
}

# The first offset at or past a time, for the times of three records of each partition, by the dump.
by_time() {
  local partition offset expected got
  for partition in $(seq 0 $((partitions - 1))); do
    for offset in 0 7 15; do
      read -r time expected < <(awk -F '\t' -v p="$partition" -v o="$offset" '
        $1 == p { at[$2] = $3; n = $2 }
        END { for (i = 0; i <= n; i++) if (at[i] >= at[o]) { print at[o], i; exit } }' "$dir/dump")
      got=$(kc -Q -t "$topic:$partition:$time" | sed 's/.*offset //')
      [[ $got == "$expected" ]] || fail "partition $partition at $time: offset $got, not $expected"
    done
  done
}

tail_read() {
  local got
  got=$(kc -C -q -e -t "$topic" -p 2 -o -5 -f '%o\n' | wc -l)
  ((got == 5)) || fail "the last five records of a partition: $got"
}

listing() {
  kc -L >"$dir/metadata"
  grep -q "topic \"$topic\" with $partitions partitions" "$dir/metadata" || fail "the topic is not listed"
}

# join N: member N of the group in the background; records go to out.N, assignments to err.N.
join() {
  kcat -b "$bootstrap" -u -f '%p\t%o\n' -X auto.offset.reset=earliest -X session.timeout.ms=10000 \
    -X heartbeat.interval.ms=300 -X auto.commit.interval.ms=300 -G "$group" "$topic" \
    >"$dir/out.$1" 2>"$dir/err.$1" &
  members[$1]=$!
}

# leave N: closes the member and waits for it.
leave() {
  kill -TERM "${members[$1]}"
  wait "${members[$1]}" 2>/dev/null
  unset "members[$1]"
}

# holds SIZE N...: the last assignment of each member N has SIZE partitions, and none is in two of them.
holds() {
  local size=$1 n mine
  shift
  : >"$dir/held"
  for n in "$@"; do
    mine=$(grep -E 'assigned:|revoked:' "$dir/err.$n" | tail -n 1 | sed -n 's/.*assigned: //p' | tr ',' '\n')
    [[ -n $mine && $(wc -l <<<"$mine") == "$size" ]] || return 1
    tr -d ' ' <<<"$mine" >>"$dir/held"
  done
  [[ -z $(sort "$dir/held" | uniq -d) ]]
}

consumed_all() {
  [[ $(sort -u "$dir"/out.* | wc -l) == $(wc -l <"$dir/sent") ]]
}

none_twice() {
  local twice
  twice=$(sort "$dir"/out.* | uniq -d | head -n 1)
  [[ -z $twice ]] || fail "consumed twice (partition, offset): $twice"
}

group_joined() {
  within holds 2 1 2 3
  within consumed_all
  none_twice
}

group_left() {
  within holds 3 1 2
  produce gzip 5000 60
  within consumed_all
  none_twice
}

group_rejoined() {
  within holds 2 1 2 4
  produce lz4 6000 60
  within consumed_all
  none_twice
}

# A new member goes on exactly behind what the group committed when it closed.
resume() {
  produce zstd 7000 60
  kc -G "$group" -q -e -X auto.offset.reset=error -f '%p\t%o\n' "$topic" >"$dir/out.5"
  [[ $(wc -l <"$dir/out.5") == 60 ]] || fail "$(wc -l <"$dir/out.5") records after the commit, not 60"
  consumed_all || fail "not everything was consumed"
  none_twice
  kc -G "$group" -q -e -X auto.offset.reset=error -f '%p\t%o\n' "$topic" >"$dir/out.6"
  [[ ! -s $dir/out.6 ]] || fail "$(wc -l <"$dir/out.6") records after everything was committed"
}

: >"$dir/sent"
from=0
for codec in "${codecs[@]}"; do
  step "produce.$codec" produce "$codec" "$from" "$per_codec"
  from=$((from + per_codec))
done
step describe describe
step read read_back
step binary binary
step offsets by_time
step tail tail_read
step list listing
for n in 1 2 3; do join "$n"; done
step group.join group_joined
leave 3
step group.leave group_left
join 4
step group.rejoin group_rejoined
for n in 1 2 4; do leave "$n"; done
step resume resume
exit "$failed"
