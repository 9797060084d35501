//go:build !unix

package wire

// read is a read of the connection. Here nobody can tell if it found
// something already.
func (l *link) read(b []byte) (int, error) {
	l.hush()
	return l.Conn.Read(b)
}
