// The Go SDK as a client, without a user.
//
//	BROWSER=e2e/node/browser.mjs go run . http://127.0.0.1:3000/mcp    prints {"protocol", "tools", "whoami"}
//	BROWSER=e2e/node/browser.mjs go run . http://127.0.0.1:3000/mcp step-up    for the notes: prints {"protocol", "granted", "answers"}
//	BROWSER=e2e/node/browser.mjs go run . http://127.0.0.1:3000/mcp calls|listen|listen-again
//
// See ../node/slow.mjs for the tasks and what they print. With PROTOCOL=2025-11-25 in its environment, it uses the older protocol.
// With CLIENT_ID, it does not register, and with
// REGISTER_WITH it registers with these scopes, otherwise with none.
package main

import (
	"context"
	"encoding/json"
	"errors"
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
	server, task := os.Args[1], "whoami"
	if len(os.Args) > 2 {
		task = os.Args[2]
	}
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
	handler := login()
	connect := func() *mcp.ClientSession {
		transport := &mcp.StreamableClientTransport{Endpoint: server, OAuthHandler: handler}
		session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: os.Getenv("PROTOCOL")})
		check(err)
		return session
	}
	session := connect()
	answer := map[string]any{"protocol": session.InitializeResult().ProtocolVersion}
	switch task {
	case "whoami":
		listed, err := session.ListTools(ctx, nil)
		check(err)
		var tools []string
		for _, tool := range listed.Tools {
			tools = append(tools, tool.Name)
		}
		answer["tools"] = tools
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami"})
		check(err)
		answer["whoami"] = json.RawMessage(result.Content[0].(*mcp.TextContent).Text)
	case "step-up":
		text := func(tool string, arguments any) string {
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
			check(err)
			return result.Content[0].(*mcp.TextContent).Text
		}
		granted := []string{scope(ctx, handler)}
		answers := []string{text("list_notes", nil)}
		milk := map[string]any{"text": "buy milk"}
		// In `notes` only an admin may write for bob: the tool itself refuses.
		for _, note := range []map[string]any{milk, {"text": "buy milk", "owner": "bob"}} {
			answers = append(answers, text("add_note", note)) // on 403 the SDK steps up by itself
			granted = append(granted, scope(ctx, handler))
		}
		answers = append(answers, text("list_notes", nil)) // the scope that was granted first still is
		answer["granted"], answer["answers"] = granted, answers
	case "calls":
		both := func(seconds int) (silent, told outcome) {
			answers := make(chan outcome)
			go func() { answers <- wait(ctx, session, seconds, nil) }()
			told = wait(ctx, session, seconds, mcp.Meta{"progressToken": fmt.Sprint("told-", seconds)})
			return <-answers, told
		}
		silent, told := both(7)
		answer["silent"], answer["told"], answer["reports"] = silent.text, told.text, reports.Load()
		answer["after"] = wait(ctx, session, 0, nil).text
		check(errors.Join(silent.err, told.err))
		silent, told = both(60)
		answer["errors"] = []any{silent.message(), told.message()}
	case "listen":
		start = time.Now()
		time.Sleep(10 * time.Second)
	case "listen-again":
		// The SDK does not say that a subscription has ended: the application connects again before the token expires.
		for start = time.Now(); time.Since(start) < 10*time.Second; session = connect() {
			time.Sleep(3 * time.Second)
			check(session.Close())
		}
	}
	answer["heard"] = heard.Load()
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

type outcome struct {
	text string
	err  error
}

func (o outcome) message() any {
	if o.err == nil {
		return nil
	}
	return o.err.Error()
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

// scope returns what the issuer has granted last.
func scope(ctx context.Context, handler auth.OAuthHandler) string {
	source, err := handler.TokenSource(ctx)
	check(err)
	token, err := source.Token()
	check(err)
	granted, _ := token.Extra("scope").(string)
	return granted
}

func login() auth.OAuthHandler {
	var byHand *oauthex.ClientCredentials
	if id := os.Getenv("CLIENT_ID"); id != "" {
		byHand = &oauthex.ClientCredentials{ClientID: id}
	}
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL:         redirect,
		PreregisteredClient: byHand,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "e2e go",
				RedirectURIs:            []string{redirect},
				GrantTypes:              []string{"authorization_code", "refresh_token"},
				TokenEndpointAuthMethod: "none",
				Scope:                   os.Getenv("REGISTER_WITH"), // the SDK does not set it
			},
		},
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			printed, err := exec.Command(os.Getenv("BROWSER"), "--print", args.URL).Output()
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				return nil, fmt.Errorf("the browser: %w: %s", err, exit.Stderr)
			} else if err != nil {
				return nil, err
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
