package issuer;

import static org.springframework.security.config.Customizer.withDefaults;
import static org.springframework.security.oauth2.server.authorization.authentication.OAuth2ClientRegistrationAuthenticationValidator.DEFAULT_REDIRECT_URI_VALIDATOR;
import static org.springframework.security.oauth2.server.authorization.authentication.OAuth2ClientRegistrationAuthenticationValidator.SIMPLE_SCOPE_VALIDATOR;

import java.util.List;
import java.util.function.Consumer;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.server.authorization.authentication.OAuth2ClientRegistrationAuthenticationProvider;
import org.springframework.security.oauth2.server.authorization.client.InMemoryRegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.converter.OAuth2ClientRegistrationRegisteredClientConverter;
import org.springframework.security.oauth2.server.authorization.settings.AuthorizationServerSettings;
import org.springframework.security.oauth2.server.authorization.settings.OAuth2TokenFormat;
import org.springframework.security.oauth2.server.authorization.settings.TokenSettings;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenClaimsContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;

/**
 * A real authorization server: Spring Authorization Server. It issues JWTs, or opaque tokens with {@code --format=opaque}.
 *
 * <pre>java -jar issuer.jar --server.port=4000 --resource=http://127.0.0.1:3000/mcp</pre>
 *
 * <p>Clients register dynamically (RFC 7591). alice, the only user, signs in and consents in its pages. Spring ignores the parameter
 * {@code resource}: the audience of each access token is {@code --resource}, or another with the scope {@code elsewhere}.
 */
@SpringBootApplication
public class Issuer {
  public static void main(String[] args) {
    SpringApplication.run(Issuer.class, args);
  }

  @Bean
  SecurityFilterChain security(HttpSecurity http, TokenSettings tokens) throws Exception {
    return http.oauth2AuthorizationServer(server -> server
            .oidc(withDefaults())
            .clientRegistrationEndpoint(endpoint -> endpoint
                .openRegistrationAllowed(true)
                .authenticationProviders(providers -> providers.forEach(provider -> allowScopes(provider, tokens)))))
        .authorizeHttpRequests(requests -> requests
            .requestMatchers("/oauth2/register").permitAll()
            .anyRequest().authenticated())
        .formLogin(withDefaults())
        .build();
  }

  @Bean
  TokenSettings tokens(@Value("${format:jwt}") String format) {
    var kind = format.equals("opaque") ? OAuth2TokenFormat.REFERENCE : OAuth2TokenFormat.SELF_CONTAINED;
    return TokenSettings.builder().accessTokenFormat(kind).build();
  }

  /** Clients may register with any scope, which is not so by default, and get tokens of our format. */
  private static void allowScopes(Object provider, TokenSettings tokens) {
    if (provider instanceof OAuth2ClientRegistrationAuthenticationProvider registration) {
      var converter = new OAuth2ClientRegistrationRegisteredClientConverter();
      registration.setAuthenticationValidator(DEFAULT_REDIRECT_URI_VALIDATOR.andThen(SIMPLE_SCOPE_VALIDATOR));
      registration.setRegisteredClientConverter(
          asked -> RegisteredClient.from(converter.convert(asked)).tokenSettings(tokens).build());
    }
  }

  @Bean
  RegisteredClientRepository clients(TokenSettings tokens) {
    // A client without a user. Any client may introspect.
    var machine = RegisteredClient.withId("machine")
        .clientId("machine")
        .clientSecret("{noop}secret")
        .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
        .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
        .scope("read")
        .scope("elsewhere")
        .tokenSettings(tokens)
        .build();
    return new InMemoryRegisteredClientRepository(machine);
  }

  @Bean
  InMemoryUserDetailsManager users() {
    return new InMemoryUserDetailsManager(
        User.withUsername("alice").password("{noop}any password").roles("user").build());
  }

  @Bean
  AuthorizationServerSettings settings(@Value("${server.port}") int port) {
    return AuthorizationServerSettings.builder().issuer("http://127.0.0.1:" + port).build();
  }

  // Without these, `aud` is the id of the client. The first is for JWTs, the second for introspection.

  @Bean
  OAuth2TokenCustomizer<JwtEncodingContext> jwtAudience(@Value("${resource}") String resource) {
    return context -> audience(context, resource, aud -> context.getClaims().audience(aud));
  }

  @Bean
  OAuth2TokenCustomizer<OAuth2TokenClaimsContext> opaqueAudience(@Value("${resource}") String resource) {
    return context -> audience(context, resource, aud -> context.getClaims().audience(aud));
  }

  private static void audience(OAuth2TokenContext context, String resource, Consumer<List<String>> write) {
    if (!context.getTokenType().getValue().equals("access_token")) return; // an ID token is for the client
    var isElsewhere = context.getAuthorizedScopes().contains("elsewhere");
    write.accept(List.of(isElsewhere ? "http://other.example/mcp" : resource));
  }
}
