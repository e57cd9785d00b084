package ingest_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"parley/server/ingest"
	"parley/server/messenger"
)

func TestTheAddressIsVerifiedOnlyWithTheRightTokenAndMode(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		bare := w.replica(w.store, func(o *ingest.Options) { o.VerifyToken = always("") })
		for _, c := range []struct {
			to          *replica
			mode, token string
			status      int
		}{
			{r, "subscribe", verifyToken, http.StatusOK},
			{r, "subscribe", "another token", http.StatusForbidden},
			{r, "subscribe", "", http.StatusForbidden},
			{r, "unsubscribe", verifyToken, http.StatusForbidden},
			{r, "", verifyToken, http.StatusForbidden},
			{bare, "subscribe", "", http.StatusForbidden},
			{bare, "subscribe", verifyToken, http.StatusForbidden},
		} {
			const challenge = "<b>1158201444</b>"
			answer, err := http.Get(c.to.server.URL + "?" + url.Values{
				"hub.mode": {c.mode}, "hub.verify_token": {c.token}, "hub.challenge": {challenge}}.Encode())
			w.must(err)
			body, err := io.ReadAll(answer.Body)
			w.must(err)
			w.must(answer.Body.Close())
			if answer.StatusCode != c.status || (c.status == http.StatusOK) != (string(body) == challenge) {
				w.Errorf("mode %q, token %q: %d %q", c.mode, c.token, answer.StatusCode, body)
			}
			if kind := answer.Header.Get("Content-Type"); strings.Contains(kind, "html") {
				w.Errorf("the challenge is answered as %s", kind)
			}
		}
		answer, err := http.Head(r.server.URL)
		w.must(err)
		w.must(answer.Body.Close())
		if answer.StatusCode != http.StatusMethodNotAllowed {
			w.Errorf("HEAD: %d", answer.StatusCode)
		}
	})
}

func TestNothingIsStoredWithoutTheRightSignature(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		bare := w.replica(w.store, func(o *ingest.Options) { o.AppSecret = always("") })
		body := []byte(envelope(text("p1", "m_1", "hello", time.Now())))
		mac := hmac.New(sha1.New, []byte(appSecret))
		mac.Write(body)
		old := "sha1=" + hex.EncodeToString(mac.Sum(nil))
		right := messenger.Sign(appSecret, body)
		for name, c := range map[string]struct {
			to         *replica
			signature  string
			sha1Header string
		}{
			"none":                   {r, "", ""},
			"the old header only":    {r, "", old},
			"the old one as new":     {r, old, ""},
			"of another secret":      {r, messenger.Sign("guess", body), ""},
			"of another body":        {r, messenger.Sign(appSecret, append(body, ' ')), ""},
			"cut off":                {r, right[:len(right)-1], ""},
			"upper case":             {r, strings.ToUpper(right), ""},
			"without its kind":       {r, strings.TrimPrefix(right, "sha256="), ""},
			"no secret is set":       {bare, right, ""},
			"of no secret":           {bare, messenger.Sign("", body), ""},
			"not even hexadecimal":   {r, "sha256=zz", ""},
			"both, and sha256 isn't": {r, "sha256=", old},
		} {
			request, err := http.NewRequest(http.MethodPost, c.to.server.URL, bytes.NewReader(body))
			w.must(err)
			request.Header.Set("X-Hub-Signature-256", c.signature)
			request.Header.Set("X-Hub-Signature", c.sha1Header)
			answer, err := http.DefaultClient.Do(request)
			w.must(err)
			said, err := io.ReadAll(answer.Body)
			w.must(err)
			w.must(answer.Body.Close())
			if answer.StatusCode != http.StatusUnauthorized || len(said) > 0 {
				w.Errorf("%s: %d %q", name, answer.StatusCode, said)
			}
		}
		if n := w.rows(); n != 0 {
			w.Errorf("%d events are stored", n)
		}
		if status, _ := r.send(body, right); status != http.StatusOK || w.rows() != 1 {
			w.Errorf("the right one: %d, %d rows", status, w.rows())
		}
	})
}

func TestABodyThatNoLegalBatchNeedsIsRefused(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		fits := []byte(`{"object":"page","x":"` + strings.Repeat("a", ingest.MaxBody-24) + `"}`)
		if len(fits) != ingest.MaxBody {
			w.Fatalf("%d bytes", len(fits))
		}
		for _, c := range []struct {
			body    []byte
			chunked bool
			status  int
		}{
			{fits, false, http.StatusOK}, {fits, true, http.StatusOK},
			{append(fits[:len(fits):len(fits)], ' '), false, http.StatusRequestEntityTooLarge},
			{append(fits[:len(fits):len(fits)], ' '), true, http.StatusRequestEntityTooLarge},
		} {
			signature, status := messenger.Sign(appSecret, c.body), http.StatusServiceUnavailable
			for status == http.StatusServiceUnavailable { // one alone is a second's work, with the race detector
				w.calm(r)
				var body io.Reader = bytes.NewReader(c.body)
				if c.chunked {
					body = io.MultiReader(body) // whose length net/http cannot know
				}
				request, err := http.NewRequest(http.MethodPost, r.server.URL, body)
				w.must(err)
				request.Header.Set("X-Hub-Signature-256", signature)
				request.Header.Set("Expect", "100-continue") // or the client may not read an answer that comes early
				answer, err := http.DefaultClient.Do(request)
				w.must(err)
				w.must(answer.Body.Close())
				status = answer.StatusCode
			}
			if status != c.status {
				w.Errorf("%d bytes, chunked %t: %d", len(c.body), c.chunked, status)
			}
		}
		if w.rows() != 2 {
			w.Errorf("%d rows", w.rows())
		}
	})
}

func TestMemoryIsBoundedByTheByteBudgetAndGivenBack(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		r.inbox.SetBudget(1 << 20)
		small := strings.Repeat(" ", 70<<10) + envelope(text("p1", "m_1", "hello", time.Now()))

		// Who says much and sends little keeps nobody out.
		var slow []net.Conn
		for i := range 20 {
			conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
			w.must(err)
			defer conn.Close()
			length := fmt.Sprintf("Content-Length: %d", ingest.MaxBody)
			if i%2 == 0 {
				length = "Transfer-Encoding: chunked"
			}
			_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=0\r\n%s\r\n\r\n", length)
			w.must(err)
			slow = append(slow, conn)
		}
		if status := r.post(small); status != http.StatusOK {
			w.Fatalf("slow senders keep others out: %d", status)
		}

		// Who sends much does, until the budget is used up.
		for i, n := range map[int]int{1: 200 << 10, 3: 100 << 10, 5: 100 << 10} {
			_, err := slow[i].Write(bytes.Repeat([]byte("x"), n))
			w.must(err)
		}
		w.await("the budget is used up", func() bool { return !r.inbox.HasRoom(64 << 10) })
		w.calm(r)
		status, header := r.send([]byte(small), messenger.Sign(appSecret, []byte(small)))
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			w.Errorf("%d, Retry-After %q", status, header.Get("Retry-After"))
		}
		for _, conn := range slow {
			w.must(conn.Close())
		}
		w.await("the memory is given back", func() bool { return r.post(small) == http.StatusOK })

		// One that alone is too much gets its answer too.
		huge := strings.Repeat(" ", 4<<20) + small
		if status := r.post(huge); status != http.StatusServiceUnavailable {
			w.Errorf("one of 4 MiB: %d", status)
		}
		if status := r.post(small); status != http.StatusOK {
			w.Errorf("after it: %d", status)
		}
	})
}

func TestABodyThatBreaksOffStoresNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.store)
		body := envelope(text("p1", "m_1", "hello", time.Now()))
		conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
		w.must(err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: %s\r\nContent-Length: %d\r\n\r\n%s",
			messenger.Sign(appSecret, []byte(body)), len(body)+1, body)
		w.must(err)
		w.must(conn.(*net.TCPConn).CloseWrite())
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		w.must(err)
		if answer.StatusCode != http.StatusBadRequest || w.rows() != 0 {
			w.Errorf("%d, %d rows", answer.StatusCode, w.rows())
		}
	})
}

func TestAPostIsRefusedWhileTheDatabaseIsAway(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.replica(w.second())
		body := envelope(text("p1", "m_1", "hello", time.Now()))
		if status := r.post(body); status != http.StatusOK {
			w.Fatalf("before: %d", status)
		}
		r.closeStore()
		if status, header := r.send([]byte(body), messenger.Sign(appSecret, []byte(body))); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			w.Errorf("%d %v", status, header)
		}
	})
}
