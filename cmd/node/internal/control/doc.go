// Package control is how the commands of the program talk to a node: Node is
// what a node does for them, Server offers it on a unix socket that only its
// owner can open, Client uses it from another process.
//
// On the socket each operation is one HTTP request: POST /v1/<operation> with
// one JSON object, answered by lines of JSON, any number of {"event":…} and at
// last one {"result":…} or {"error":…}. A caller that closes the connection
// calls the operation off.
//
// The invariant: what a Client returns is what the Node behind the socket
// returned, errors with their kind; and nothing that is sent to a socket, by
// either side, takes more room than the limits in this package.
package control
