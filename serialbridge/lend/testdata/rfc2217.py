# Uses a port that is lent at localhost and the given TCP port, whose stick says
# what it is told, as a program with pyserial would.
import sys

import serial

port = serial.serial_for_url(
    f"rfc2217://127.0.0.1:{sys.argv[1]}",
    baudrate=19200, bytesize=8, parity="E", stopbits=2, timeout=20)

# Each byte, in each neighbourhood that telnet knows.
data = bytes(range(256)) * 40 + b"\r\n\r\0\r\xff\xff\xf0\xff\xfa,\x01" * 20
for _ in range(3):
    port.write(data)
    back = port.read(len(data))
    assert back == data, f"{len(back)} bytes came back, or others"

port.baudrate = 250000
port.parity = "N"
port.stopbits = 1
port.dtr = True
port.rts = True
port.break_condition = False
port.reset_input_buffer()
port.reset_output_buffer()
port.write(b"\xff again")
assert port.read(7) == b"\xff again"


def refused(what, change):
    try:
        change()
    except (ValueError, serial.SerialException):
        return
    raise AssertionError(f"{what} was not refused")


refused("DTR off", lambda: setattr(port, "dtr", False))
refused("RTS off", lambda: setattr(port, "rts", False))
refused("BREAK", lambda: setattr(port, "break_condition", True))
refused("a modem state", lambda: port.cts)
refused("5 data bits", lambda: setattr(port, "bytesize", 5))
port.close()
