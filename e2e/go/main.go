// The Go SDK as a client of ../slow/server.rs, without a user.
//
//	BROWSER=e2e/node/browser.mjs go run . http://127.0.0.1:3000/mcp wait|revoked|listen|listen-again
//
// See ../node/slow.mjs for the tasks and what they print. With PROTOCOL=2025-11-25 in its environment, it uses the older protocol.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const redirect = "http://127.0.0.1:9/callback" // nothing listens there: the browser prints the redirect

var (
	heard   atomic.Value // when the last notification came: seconds since the start
	reports atomic.Int64
)

func main() {
	server, task := os.Args[1], os.Args[2]
	ctx := context.Background()
	start := time.Now()
	heard.Store(0.0)
	options := &mcp.ClientOptions{
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) { reports.Add(1) },
	}
	if strings.HasPrefix(task, "listen") {
		// With this handler, the SDK listens by itself, in both protocols.
		options.ToolListChangedHandler = func(context.Context, *mcp.ToolListChangedRequest) {
			heard.Store(time.Since(start).Seconds())
		}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1.0.0"}, options)
	transport := &mcp.StreamableClientTransport{Endpoint: server, OAuthHandler: login()}
	session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: os.Getenv("PROTOCOL")})
	check(err)

	answer := map[string]any{"protocol": session.InitializeResult().ProtocolVersion}
	switch task {
	case "wait", "revoked":
		seconds := map[string]int{"wait": 7, "revoked": 60}[task]
		silent, told := make(chan outcome), make(chan outcome)
		go func() { silent <- wait(ctx, session, seconds, nil) }()
		go func() { told <- wait(ctx, session, seconds, mcp.Meta{"progressToken": "told"}) }()
		answer["silent"], answer["told"] = (<-silent).say(task), (<-told).say(task)
		if task == "wait" {
			answer["after"] = wait(ctx, session, 0, nil).say(task)
		}
	default:
		start = time.Now()
		time.Sleep(10 * time.Second)
	}
	answer["heard"], answer["reports"] = heard.Load(), reports.Load()
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

type outcome struct {
	text string
	err  error
}

// say returns the text of a result, or for the task `revoked` the error.
func (o outcome) say(task string) any {
	if task == "revoked" && o.err != nil {
		return o.err.Error()
	}
	if task == "revoked" {
		return nil
	}
	check(o.err)
	return o.text
}

func wait(ctx context.Context, session *mcp.ClientSession, seconds int, meta mcp.Meta) outcome {
	result, err := session.CallTool(ctx, &mcp.CallToolParams{
		Meta: meta, Name: "wait", Arguments: map[string]any{"seconds": seconds},
	})
	if err != nil {
		return outcome{err: err}
	}
	return outcome{text: result.Content[0].(*mcp.TextContent).Text}
}

func login() auth.OAuthHandler {
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL: redirect,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "e2e go",
				RedirectURIs:            []string{redirect},
				GrantTypes:              []string{"authorization_code", "refresh_token"},
				TokenEndpointAuthMethod: "none",
			},
		},
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			printed, err := exec.Command(os.Getenv("BROWSER"), "--print", args.URL).Output()
			if err != nil {
				return nil, fmt.Errorf("the browser: %w", err)
			}
			back, err := url.Parse(strings.TrimSpace(string(printed)))
			if err != nil {
				return nil, err
			}
			query := back.Query()
			return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
		},
	})
	check(err)
	return handler
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
