# Three nodes and a server, all on this machine: bash machines.sh
nats="--nats nats://127.0.0.1:14222 --cluster party"
trap 'kill $(jobs -p); wait' EXIT

server() { nats-server -a 127.0.0.1 -p 14222 >server.log 2>&1 & server=$!; }

node() {
    trio-messenger node counter:node $nats --peers n1,n2,n3 --id "n$1" --metrics "127.0.0.1:1946$1" 2>"n$1.log" &
}

page() { curl -s "http://127.0.0.1:1946$1/$2"; }

all_ready() { for number in 1 2 3; do until [ "$(page $number ready)" = ready ]; do sleep 0.2; done; done; }

ask() { echo "$1 $2 -> $(trio-messenger call $nats "$1" "$2" | sed 's/, "in_reply_to.*/}/')"; }

server
node 1; node 2; node 3; third=$!
all_ready
ask n1 '{"type": "add", "delta": 3}'

echo "n3 is killed"
kill -9 $third; wait $third 2>/dev/null
ask n1 '{"type": "add", "delta": 4}'
node 3
all_ready
sleep 3
ask n3 '{"type": "read"}'

echo "the server is killed"
kill -9 $server; wait $server 2>/dev/null
sleep 3
page 1 ready
page 1 metrics >metrics.txt

echo "the server is started again"
server
all_ready
ask n2 '{"type": "add", "delta": 5}'
sleep 3
ask n3 '{"type": "read"}'
