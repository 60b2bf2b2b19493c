// A stand-in for Google Cloud Storage: its XML API, translated for a MinIO behind it.
//
// That API is S3's in all that Odradek's client of it sends, but for two things, and these are translated: who asks
// (a bearer token there, a signature here), and the condition under which a write only creates, the generation 0.
// What else is Google's own is refused rather than passed on, since MinIO would ignore it.
//
// Not imitated: tokens (none is wanted), generations, Google's wording of errors, and that it answers 404 to the deletion
// of an object that is not there.
//
//	gcs LISTEN MINIO     two addresses, HOST:PORT; the keys of MinIO are in MINIO_ROOT_USER and MINIO_ROOT_PASSWORD
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"

	"github.com/minio/minio-go/v7/pkg/signer"
)

const (
	generationMatch = "X-Goog-If-Generation-Match"
	// What MinIO takes where none is configured.
	region = "us-east-1"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: gcs LISTEN MINIO")
	}
	minio := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { translate(r.Out, os.Args[2]) },
	}
	log.Fatal(http.ListenAndServe(os.Args[1], refusing(minio)))
}

// refusing answers what the stand-in does not know itself.
func refusing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			isKnown := name == generationMatch && r.Method == http.MethodPut && r.Header.Get(name) == "0"
			if strings.HasPrefix(name, "X-Goog-") && !isKnown {
				http.Error(w, "the stand-in does not know this use of "+name, http.StatusNotImplemented)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// translate makes a request of the XML API one that MinIO takes.
func translate(out *http.Request, minio string) {
	out.URL.Scheme, out.URL.Host, out.Host = "http", minio, minio
	// The client escapes every slash of an object's name; MinIO signs and reads paths that are escaped as Go does it.
	out.URL.RawPath = ""
	if out.Header.Get(generationMatch) != "" {
		out.Header.Del(generationMatch)
		out.Header.Set("If-None-Match", "*")
	}
	out.Header.Del("Authorization")
	out.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	signed := signer.SignV4(*out, os.Getenv("MINIO_ROOT_USER"), os.Getenv("MINIO_ROOT_PASSWORD"), "", region)
	out.Header = signed.Header
}
