// Command certificates answers certificate requests as istiod does, and nothing more: the yardstick of bench_certificates.py.
//
// The steps: token from the metadata, PKCS#10 parsed and its signature checked, a leaf of Istio's shape signed, PEM. No TLS, no
// TokenReview (tokens "pod-N" are believed), no log, no metrics. It speaks to its parent as certificate_server.py does.
package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	pb "istio.io/api/security/v1alpha1"
)

const maxTTL = 90 * 24 * time.Hour

var serialLimit = new(big.Int).Lsh(big.NewInt(1), 128)

type authority struct {
	pb.UnimplementedIstioCertificateServiceServer
	certificate *x509.Certificate
	key         crypto.Signer
	root        string
}

func (a *authority) CreateCertificate(ctx context.Context, request *pb.IstioCertificateRequest) (*pb.IstioCertificateResponse, error) {
	said, _ := metadata.FromIncomingContext(ctx)
	token := said.Get("authorization")
	if len(token) != 1 || !strings.HasPrefix(token[0], "Bearer pod-") {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	number, err := strconv.Atoi(strings.TrimPrefix(token[0], "Bearer pod-"))
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	leaf, err := a.sign([]byte(request.Csr), fmt.Sprintf("/ns/ns-%d/sa/account-%d", number%50, number%500), time.Duration(request.ValidityDuration)*time.Second)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &pb.IstioCertificateResponse{CertChain: []string{leaf, a.root}}, nil
}

func (a *authority) sign(request []byte, path string, ttl time.Duration) (string, error) {
	block, _ := pem.Decode(request)
	if block == nil {
		return "", fmt.Errorf("no PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", err
	}
	if err := csr.CheckSignature(); err != nil {
		return "", err
	}
	if ttl > maxTTL {
		return "", fmt.Errorf("lifetime %s", ttl)
	}
	serial, err := rand.Int(rand.Reader, serialLimit)
	if err != nil {
		return "", err
	}
	uri := "spiffe://cluster.local" + path
	san, err := asn1.Marshal([]asn1.RawValue{{Tag: 6, Class: asn1.ClassContextSpecific, Bytes: []byte(uri)}})
	if err != nil {
		return "", err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             now.Add(-2 * time.Minute),
		NotAfter:              now.Add(ttl),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san}},
	}, a.certificate, csr.PublicKey, a.key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

func create(algorithm string) (*authority, error) {
	var key crypto.Signer
	var err error
	if algorithm == "RSA-2048" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"cluster.local"}},
		NotBefore: time.Now().Add(-2 * time.Minute), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local"}},
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &authority{certificate: certificate, key: key, root: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}, err
}

func main() {
	service, err := create(os.Args[1])
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	pb.RegisterIstioCertificateServiceServer(server, service)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			var used syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
				panic(err)
			}
			cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
			fmt.Printf("{\"cpu\": %f}\n", cpu)
		}
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		panic(err)
	}
}
