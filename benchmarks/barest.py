"""The two calls of a row by the barest client that can be written: the limit of one core.

    python -m benchmarks.barest PORT ROWS IN_FLIGHT

Sockets, an epoll loop, and requests that are ready-made bytes. It keeps nothing, checks nothing
and could be told anything; what it needs is the price of the system calls and of Python's own.
"""

import select
import socket
import sys
import time

_TEXT = "Вопрос: почему вода кипит при ста градусах, а в горах раньше? Ответь одним предложением."
_BODY = (
    b'{"modelUri":"gpt://b1gbench/yandexgpt-lite","completionOptions":{"stream":false},'
    b'"messages":[{"role":"user","text":"%s"}]}' % _TEXT.encode()
)
_HEADERS = (
    b"host: 127.0.0.1\r\nauthorization: Api-Key bench\r\nuser-agent: barest\r\n"
    b"content-type: application/json\r\n"
)
_POST = b"POST /foundationModels/v1/completionAsync HTTP/1.1\r\n%scontent-length: %d\r\n\r\n%s" % (
    _HEADERS,
    len(_BODY),
    _BODY,
)
_GET = b"GET /operations/%s HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Api-Key bench\r\n\r\n"


def carry(port: int, rows: int, in_flight: int) -> float:
    """Seconds of CPU that it takes."""
    poll = select.epoll()
    connections = {}
    before = time.process_time()
    for _ in range(min(in_flight, rows)):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        connections[connection.fileno()] = connection
        poll.register(connection.fileno(), select.EPOLLIN)
        connection.send(_POST)
    begun, over = len(connections), 0
    while over < rows:
        for fd, _ in poll.poll():
            connection = connections[fd]
            answer = connection.recv(65536)
            at = answer.index(b'"id":"') + 6
            if answer.find(b'"done":true') < 0:
                connection.send(_GET % answer[at : at + 20])
                continue
            over += 1
            if begun < rows:
                begun += 1
                connection.send(_POST)
    spent = time.process_time() - before
    for connection in connections.values():
        connection.close()
    return spent


if __name__ == "__main__":
    _port, _rows, _in_flight = map(int, sys.argv[1:])
    print(f"{1e3 * carry(_port, _rows, _in_flight) / _rows:.4f} ms a row")
