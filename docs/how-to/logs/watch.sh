# Plays the network: writes the requests, and ends the node's input once we are done with it.
(cat requests.jsonl; until [ -e done ]; do sleep 0.1; done; cat status.jsonl) | python board.py >replies.jsonl 2>board.log &
node=$!
until grep -qs reaped board.log; do sleep 0.1; done
kill -USR1 $node
touch done
wait
