// Package lend lends a port over TCP to another program, so that what speaks
// with a stick may run on another machine.
//
// One client at a time has the port; the others are refused by a closed
// connection, which is counted with [serialbridge.Sink.Ignored]. Who has the
// port, and how much went through, are properties of the device "lend".
//
// A lease ends when the client closes its side of the connection; the stick has
// half a second more to answer, as with socat, unless another client waits. It
// ends when the client does not answer for about half a minute (TCP keepalive)
// or takes no data for that long while there are some, when no byte went either
// way for Options.Idle, and when the stick is gone. A second client waits a
// quarter of a second before it is refused: the first one may be leaving just
// then.
//
// # Security
//
// There is no password and no encryption: whoever reaches the TCP port speaks
// with the stick. A port is lent only if the user says so and where. Clients
// have to come from this box or a private network unless Options.Allow says
// otherwise; that keeps out the Internet, not the neighbour's guest.
//
// # Bytes
//
// What the client sends is written to the port in order before the connection
// counts as ended. What the stick says goes to the client in order; while there
// is none it is read and dropped, so that nobody hears what was meant for
// another. A client that reads slowly holds up the reading from the port: what
// is more than the buffers of the kernel is lost there, since a stick cannot be
// told to wait. A stick that takes no data for as long as the port waits has
// failed: the lease ends, and the supervisor opens it anew.
//
// Each lease begins with the configured setting of the line.
//
// # RFC 2217
//
// With Options.RFC2217 the connection is telnet (RFC 854, 855, 856) with
// COM-PORT-OPTION (RFC 2217): the client sets baud rate, data size, parity and
// stop size. Each request is answered with what is so afterwards: what the
// port cannot do, the client learns from that. There are no flow control and no
// BREAK, DTR and RTS are on for ever. FLOWCONTROL-SUSPEND and -RESUME are
// obeyed. PURGE-DATA drops what was received and not sent to the client yet;
// what the kernel holds for the stick is not dropped. NOTIFY-LINESTATE and
// NOTIFY-MODEMSTATE are never sent: both masks are 0.
//
// What is no telnet is dropped, and counted with [serialbridge.Sink.Damaged]:
//
//   - "telnet syntax": IAC before what is no command, a subnegotiation without
//     its end, or one for COM-PORT-OPTION that is not of RFC 2217
//   - "telnet too long": a subnegotiation of more than 256 bytes
//
// # Contract
//
// Run owns the listener and goroutines that accept, read from the port, and
// carry bytes each way for the client; all but the reading from the port have
// ended when it returns, and that ends when the port fails or is closed. It may
// write to the port and set its line from another goroutine than it reads. It
// holds for a client at most three pieces of what the stick said (1 KiB each),
// 4 KiB of what the client said, 256 bytes of telnet, and 64 KiB in the kernel.
package lend
