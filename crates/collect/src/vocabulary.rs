//! Google Analytics 4's names to the Segment e-commerce specification's: one table, in the docs word for word
//! (`docs/reference/ga4.md`; a test compares them).

/// GA4 event → event.
pub const GA4_EVENTS: [(&str, &str); 15] = [
    ("view_item", "Product Viewed"),
    ("view_item_list", "Product List Viewed"),
    ("select_item", "Product Clicked"),
    ("add_to_cart", "Product Added"),
    ("remove_from_cart", "Product Removed"),
    ("add_to_wishlist", "Product Added to Wishlist"),
    ("view_cart", "Cart Viewed"),
    ("begin_checkout", "Checkout Started"),
    ("add_shipping_info", "Checkout Step Completed"),
    ("add_payment_info", "Payment Info Entered"),
    ("purchase", "Order Completed"),
    ("refund", "Order Refunded"),
    ("search", "Products Searched"),
    ("view_promotion", "Promotion Viewed"),
    ("select_promotion", "Promotion Clicked"),
];

/// GA4 parameter → property, at the top and in `items`; others keep their names.
pub const GA4_PROPERTIES: [(&str, &str); 11] = [
    ("items", "products"),
    ("item_id", "product_id"),
    ("item_name", "name"),
    ("item_brand", "brand"),
    ("item_category", "category"),
    ("item_variant", "variant"),
    ("transaction_id", "order_id"),
    ("value", "total"),
    ("search_term", "query"),
    ("promotion_id", "promotion_id"),
    ("index", "position"),
];

/// Events about one product: GA4 sends it as the only item, the Segment specification at the top.
pub const GA4_ONE_PRODUCT: [&str; 5] =
    ["Product Viewed", "Product Clicked", "Product Added", "Product Removed", "Product Added to Wishlist"];

use std::borrow::Cow;

use jumelle_model::Json;

/// Translates a name; one that is not in the table stays.
pub(crate) fn translate_name(name: Cow<'_, str>) -> Cow<'_, str> {
    match GA4_EVENTS.iter().find(|(ga4, _)| *ga4 == name) {
        Some((_, translated)) => Cow::Borrowed(translated),
        None => name,
    }
}

/// Translates properties; for events about one product the first item's properties also stand at the top.
pub(crate) fn translate_properties<'a>(name: &str, properties: Json<'a>) -> Json<'a> {
    let Json::Object(object) = properties else { return properties };
    let mut translated: Vec<(Cow<'a, str>, Json<'a>)> = Vec::with_capacity(object.len());
    for (key, value) in object.into_vec() {
        let value = match value {
            Json::Array(items) if key == "items" => Json::Array(items.into_iter().map(translate_item).collect()),
            other => other,
        };
        translated.push((translate_key(key), value));
    }
    if GA4_ONE_PRODUCT.contains(&name) {
        let first = translated.iter().find_map(|(key, value)| match value {
            Json::Array(items) if key == "products" => items.first().cloned(),
            _ => None,
        });
        if let Some(Json::Object(item)) = first {
            for (key, value) in item.into_vec() {
                if !translated.iter().any(|(taken, _)| *taken == key) {
                    translated.push((key, value));
                }
            }
        }
    }
    object_of(translated)
}

/// Keys written with JSON escapes (`"caf\u00e9"`) cannot be borrowed and the library builds objects from borrowed keys only; no GA4
/// parameter is written so, and rules do not see one that is.
fn object_of<'a>(entries: Vec<(Cow<'a, str>, Json<'a>)>) -> Json<'a> {
    let borrowed = entries.into_iter().filter_map(|(key, value)| match key {
        Cow::Borrowed(key) => Some((key, value)),
        Cow::Owned(_) => None,
    });
    Json::Object(borrowed.collect())
}

fn translate_item(item: Json<'_>) -> Json<'_> {
    match item {
        Json::Object(object) => {
            object_of(object.into_vec().into_iter().map(|(key, value)| (translate_key(key), value)).collect())
        }
        other => other,
    }
}

fn translate_key(key: Cow<'_, str>) -> Cow<'_, str> {
    match GA4_PROPERTIES.iter().find(|(ga4, _)| *ga4 == key) {
        Some((_, translated)) => Cow::Borrowed(translated),
        None => key,
    }
}
