# Three nodes and a server, all on this machine: bash machines.sh
port=$((15000 + $$ % 1000 * 10)) # of the server; the next three have the nodes' metrics
nats="--nats nats://127.0.0.1:$port --cluster party"
trap 'kill $(jobs -p); wait' EXIT

server() { nats-server -a 127.0.0.1 -p $port >server.log 2>&1 & server=$!; }

node() {
    metrics=127.0.0.1:$((port + $1))
    trio-messenger node counter:node $nats --peers n1,n2,n3 --id "n$1" --metrics $metrics 2>"n$1.log" &
}

page() { curl -s "http://127.0.0.1:$((port + $1))/$2"; }

all_ready() {
    for number in 1 2 3; do
        for try in {1..150}; do [ "$(page $number ready)" = ready ] && continue 2; sleep 0.2; done
        echo "n$number is not ready after 30 s; n$number.log and server.log say why"; exit 1
    done
}

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
