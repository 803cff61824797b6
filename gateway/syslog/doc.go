// Package syslog sends the log to a log server: messages of RFC 5424, over UDP (RFC 5426), TCP
// with octet counting (RFC 6587, 3.4.1) or TLS (RFC 5425).
//
// # Contract
//
// A [Sender] is a [slog.Handler] that waits for nobody: a message that finds the queue full is
// dropped and counted. [Sender.Run] owns the connection. Limits: 512 messages wait, of 2048
// bytes each (RFC 5426, 3.2), 1 MiB in all; attributes that do not fit are left out.
package syslog
