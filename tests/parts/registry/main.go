// A registry with the referrers API, in memory, with TLS and one login: what the tests publish to.
package main

import (
	"crypto/subtle"
	"log"
	"net/http"
	"os"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: LOGIN=user:password registry ADDRESS CERTIFICATE KEY")
	}
	login := os.Getenv("LOGIN")
	registry := ociserver.New(ocimem.New(), nil)
	handler := http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		user, password, _ := request.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(login)) != 1 {
			answer.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(answer, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		registry.ServeHTTP(answer, request)
	})
	log.Fatal(http.ListenAndServeTLS(os.Args[1], os.Args[2], os.Args[3], handler))
}
