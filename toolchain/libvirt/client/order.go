// Laid into a copy of github.com/digitalocean/go-libvirt by toolchain/plugin/client.py: see there for why.

package libvirt

import (
	"sync"

	"github.com/digitalocean/go-libvirt/socket"
)

// arrivals is what one connection has heard so far. Only the connection's one listener uses it.
type arrivals struct {
	replied map[int32]bool
	early   map[int32][]response
}

var connections sync.Map // *Libvirt -> *arrivals

// inOrder returns the packets that a caller can take now: those of a stream only after the call's own reply.
func (l *Libvirt) inOrder(h *socket.Header, res response) []response {
	kept, _ := connections.LoadOrStore(l, &arrivals{map[int32]bool{}, map[int32][]response{}})
	heard := kept.(*arrivals)
	switch {
	case h.Type == socket.Stream && !heard.replied[h.Serial]:
		heard.early[h.Serial] = append(heard.early[h.Serial], res)
		return nil
	case h.Type == socket.Reply:
		heard.replied[h.Serial] = true
		found := append([]response{res}, heard.early[h.Serial]...)
		delete(heard.early, h.Serial)
		return found
	}
	return []response{res}
}
