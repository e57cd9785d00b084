package messenger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Sign gives the value of the X-Hub-Signature-256 header for a body (webhooks reference, Oct 2026).
func Sign(appSecret string, body []byte) string {
	return "sha256=" + hexMAC(appSecret, body)
}

// Verify tells whether header signs exactly these bytes. The body must be what came over the wire: Facebook signs its
// own escaping (\u00e4, \/), which does not survive re-encoding. The older SHA-1 header is never accepted, and neither
// is anything while no secret is set, since an HMAC with an empty key can be made by anyone.
func Verify(appSecret, header string, body []byte) bool {
	return appSecret != "" && hmac.Equal([]byte(header), []byte(Sign(appSecret, body)))
}

// AppSecretProof is the parameter that proves a call comes from a holder of the app secret (securing requests, Oct 2026).
func AppSecretProof(appSecret, token string) string {
	return hexMAC(appSecret, []byte(token))
}

func hexMAC(key string, message []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(message)
	return hex.EncodeToString(mac.Sum(nil))
}
